"""Batches of labelled and unlabelled samples together, and batches as an input policy shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from preceptor.data.augment.policies import Policy
from preceptor.data.loader import Batches, Loader
from preceptor.data.split import Split
from preceptor.errors import UsageError
from preceptor.types import Batch

__all__ = ["PolicyLoader", "PooledLoader", "pooled_sizes"]


def pooled_sizes(labelled: Split, pool: Split, batch_size: int, ratio: float) -> tuple[int, int]:
    """Return how many rows of a batch are labelled and how many are not.

    Args:
        labelled: samples with labels.
        pool: samples without.
        batch_size: rows of both.
        ratio: rows without a label to one with.

    Raises:
        UsageError: when a part is empty, or one would get no row.
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
    """Batches of labelled rows followed by rows of an unlabelled pool; whichever part ends first begins anew.

    An epoch has as many batches as all samples together fill, so that its length does not depend on how many have labels.
    A part that begins anew is in another order and seen in other views; rows that fill no whole batch wait for their turn.

    Args:
        labelled: batches of samples with labels.
        pool: batches of samples whose labels, if they have any, are not shown.
        num_batches: of an epoch.
    """

    def __init__(self, labelled: Loader, pool: Loader, *, num_batches: int) -> None:
        self._labelled = labelled
        self._pool = pool
        self._num_batches = num_batches

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        return self._num_batches

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1), from batch `start` on."""
        first = (epoch - 1) * self.num_batches + start
        with_labels, without = self._labelled.batch_size, self._pool.batch_size
        parts = zip(_whole_batches(self._labelled, first), _whole_batches(self._pool, first), strict=False)
        for _, (known, unknown) in zip(range(start, self.num_batches), parts, strict=False):
            share = (with_labels * known.share + without * unknown.share) / (with_labels + without)
            yield replace(
                known,
                inputs=torch.cat([known.inputs, unknown.inputs]),
                share=share,
                labelled_share=known.share,
                sample_share=share,
                index=torch.cat([known.index, unknown.index + self._labelled.num_samples]),
                view=replace(known.view, epoch=epoch),
                extra_views={
                    name: torch.cat([shown, unknown.extra_views[name]]) for name, shown in known.extra_views.items()
                },
            )


class PolicyLoader:
    """Batches as an input policy shows them.

    Args:
        source: batches of samples, or the parts of them that one of several processes holds.
        policy: what becomes of them; it may be exchanged between two batches.
        mixed_labels: classes of the labels that inputs beyond the samples keep; 0: they have none.
        whole: makes of a part the batch that all processes hold together, for policies that mix rows.
        part: (number, count): which part of that batch is shown.
    """

    def __init__(
        self,
        source: Batches,
        policy: Policy,
        mixed_labels: int = 0,
        *,
        whole: Callable[[Batch], Batch] | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self.policy = policy
        self._source = source
        self._mixed_labels = mixed_labels
        self._whole = whole
        self._part = part

    def showing(self, policy: Policy) -> PolicyLoader:
        """Return the same batches as another policy shows them."""
        return PolicyLoader(self._source, policy, self._mixed_labels, whole=self._whole, part=self._part)

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        return self._source.num_batches

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1), from batch `start` on."""
        for number, batch in enumerate(self._source.batches(epoch, start=start), start):
            if self._whole is None or not self.policy.mixes_rows:
                yield self.policy(batch, number, num_classes=self._mixed_labels)
            else:
                yield self.policy(self._whole(batch), number, num_classes=self._mixed_labels).part(*self._part)


def _whole_batches(loader: Loader, first: int) -> Iterator[Batch]:
    """Yield a loader's full batches without end, from the `first` of all on."""
    whole = loader.num_samples // loader.batch_size
    epoch, start = 1 + first // whole, first % whole
    while True:
        for _, batch in zip(range(start, whole), loader.batches(epoch, start=start), strict=False):
            yield batch
        epoch, start = epoch + 1, 0
