"""Batches of labelled samples and an unlabelled pool together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from preceptor.data.loader import Loader
from preceptor.data.split import Split
from preceptor.errors import UsageError
from preceptor.types import Batch

__all__ = ["PooledLoader", "pooled_sizes"]


def pooled_sizes(labelled: Split, pool: Split, batch_size: int, ratio: float) -> tuple[int, int]:
    """Return how many rows of a batch are labelled and how many are not.

    Args:
        labelled: samples with labels.
        pool: samples without.
        batch_size: rows of both.
        ratio: unlabelled rows per labelled row.

    Raises:
        UsageError: when either is empty, or would get no row.
    """
    if min(len(labelled), len(pool)) == 0:
        raise UsageError(f"data: {len(labelled)} samples with labels and {len(pool)} without; both are needed")
    with_labels = round(batch_size / (1 + ratio))
    if not 0 < with_labels < batch_size:
        raise UsageError(
            f"unlabelled_ratio: {ratio} leaves {with_labels} of batch_size={batch_size} rows for samples with labels"
        )
    return min(with_labels, len(labelled)), min(batch_size - with_labels, len(pool))


class PooledLoader:
    """Batches of labelled rows followed by rows of an unlabelled pool; whichever ends first starts over.

    An epoch has as many batches as all samples together fill, so that its length does not depend on how many have labels.
    What starts over comes in another order and in other views. Rows that do not fill a batch wait for another pass.

    Args:
        labelled: batches of samples with labels.
        pool: batches of samples whose labels, if they have any, are not used.
        num_batches: per epoch.
    """

    def __init__(self, labelled: Loader, pool: Loader, *, num_batches: int) -> None:
        self._labelled = labelled
        self._pool = pool
        self._num_batches = num_batches

    @property
    def num_batches(self) -> int:
        """Batches per epoch."""
        return self._num_batches

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1), from batch `start` on."""
        first = (epoch - 1) * self.num_batches + start
        with_labels, without = self._labelled.batch_size, self._pool.batch_size
        pairs = zip(_full_batches(self._labelled, first), _full_batches(self._pool, first), strict=False)
        for _, (labelled, unlabelled) in zip(range(start, self.num_batches), pairs, strict=False):
            share = (with_labels * labelled.share + without * unlabelled.share) / (with_labels + without)
            yield replace(
                labelled,
                inputs=torch.cat([labelled.inputs, unlabelled.inputs]),
                share=share,
                labelled_share=labelled.share,
                sample_share=share,
                index=torch.cat([labelled.index, unlabelled.index + self._labelled.num_samples]),
                view=replace(labelled.view, epoch=epoch),
                extra_views={
                    name: torch.cat([inputs, unlabelled.extra_views[name]])
                    for name, inputs in labelled.extra_views.items()
                },
            )


def _full_batches(loader: Loader, first: int) -> Iterator[Batch]:
    """Yield a loader's full batches without end, pass after pass, from number `first` on."""
    per_pass = loader.num_samples // loader.batch_size
    epoch, start = 1 + first // per_pass, first % per_pass
    while True:
        for _, batch in zip(range(start, per_pass), loader.batches(epoch, start=start), strict=False):
            yield batch
        epoch, start = epoch + 1, 0
