"""Batches: shuffled, augmented and normalised for training; in order and plain for evaluation."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from preceptor.data.dataset import Normalisation
from preceptor.data.split import Arrays, Split
from preceptor.data.views import ORDER, VIEWS, draws
from preceptor.errors import UsageError
from preceptor.types import Batch, View

__all__ = ["Loader", "plain_batches"]

_RESIDENT_BYTES = 2**30  # splits up to here are moved to the device once


class Loader:
    """The batches of a training split; order and views are pure functions of (seed, epoch, index).

    Args:
        split: the samples.
        batch_size: samples a batch; the last one may be smaller and is kept.
        view: name of the augmentation.
        normalisation: applied after it.
        seed: of order and views.
        device: where batches live.

    Raises:
        UsageError: for a batch size below 1, an unknown view, or one for images on inputs that are not uint8 images.
    """

    def __init__(
        self, split: Split, *, batch_size: int, view: str, normalisation: Normalisation, seed: int, device: torch.device
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"data: batch_size {batch_size} is not at least 1")
        if view not in VIEWS:
            near = difflib.get_close_matches(view, VIEWS, n=1) or list(VIEWS)
            raise UsageError(f"data.view: unknown name {view!r}; did you mean {' or '.join(near)}?")
        sample = split.inputs(torch.tensor([0]))
        if view != "none" and (sample.dtype != torch.uint8 or sample.ndim != 4):
            raise UsageError(
                f"data.view: {view} works on uint8 images, and the inputs are {sample.dtype} {tuple(sample.shape[1:])}; "
                "use data.view=none"
            )
        self._split = _resident(split, device)
        self._batch_size = batch_size
        self._view = view
        self._normalisation = normalisation
        self._seed = seed
        self._device = device

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(self._split) / self._batch_size)

    def order(self, epoch: int) -> Tensor:
        """Return the rows in this epoch's order."""
        rows = torch.arange(len(self._split))
        return torch.argsort(draws(self._seed, epoch, rows, stream=ORDER)[:, 0], stable=True)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1), from batch `start` on."""
        order = self.order(epoch)
        for number in range(start, self.num_batches):
            rows = order[number * self._batch_size : (number + 1) * self._batch_size]
            index = rows.to(self._device)
            inputs = self._split.inputs(index if isinstance(self._split, Arrays) else rows).to(self._device)
            inputs = VIEWS[self._view](inputs, self._seed, epoch, index)
            labels = self._split.labels[index if isinstance(self._split, Arrays) else rows].to(self._device)
            yield Batch(self._normalisation(inputs), labels, index, View(self._view, self._seed, epoch))


def plain_batches(split: Split, normalisation: Normalisation, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Yield all samples in order, without augmentation."""
    for rows in torch.split(torch.arange(len(split)), batch_size) if len(split) else ():
        inputs = normalisation(split.inputs(rows).to(device))
        yield Batch(inputs, split.labels[rows].to(device), rows.to(device), View("none", 0, 0))


def _resident(split: Split, device: torch.device) -> Split:
    if not isinstance(split, Arrays) or split.values.nbytes > _RESIDENT_BYTES:
        return split
    return Arrays(split.values.to(device), split.labels.to(device), split.truth)
