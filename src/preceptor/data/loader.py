"""Batches: shuffled, augmented and normalised for training; in order and plain for evaluation."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from preceptor.data.dataset import Normalisation
from preceptor.data.further import further_view
from preceptor.data.mixing import POLICIES
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
        further: names of further views of each sample.
        inputs: the input policy's name.

    Raises:
        UsageError: for a batch size below 1, an unknown view, or one for images on inputs that are not uint8 images.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        view: str,
        normalisation: Normalisation,
        seed: int,
        device: torch.device,
        further: Sequence[str] = (),
        inputs: str = "real",
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"data: batch_size {batch_size} is not at least 1")
        if view not in VIEWS:
            near = difflib.get_close_matches(view, VIEWS, n=1) or list(VIEWS)
            raise UsageError(f"data.view: unknown name {view!r}; did you mean {' or '.join(near)}?")
        sample = split.inputs(torch.tensor([0]))
        if (view != "none" or further) and (sample.dtype != torch.uint8 or sample.ndim != 4):
            what, way_out = (
                (f"data.view: {view}", "use data.view=none")
                if view != "none"
                else (f"view {further[0]}", "this method cannot be used with them")
            )
            raise UsageError(
                f"{what} works on uint8 images, and the inputs are {sample.dtype} {tuple(sample.shape[1:])}; {way_out}"
            )
        if any(name.startswith("rotated") for name in further) and sample.shape[2] != sample.shape[3]:
            raise UsageError(f"view {further[0]} needs square images, and the inputs are {tuple(sample.shape[1:])}")
        self._split = _resident(split, device)
        self._batch_size = batch_size
        self._view = view
        self._normalisation = normalisation
        self._seed = seed
        self._device = device
        self._further = {name: further_view(name, view) for name in further}
        self._policy = POLICIES[inputs]

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
            raw = self._split.inputs(index if isinstance(self._split, Arrays) else rows).to(self._device)
            labels = self._split.labels[index if isinstance(self._split, Arrays) else rows].to(self._device)
            inputs = self._normalisation(VIEWS[self._view](raw, self._seed, epoch, index))
            further = {
                name: self._normalisation(view(raw, self._seed, epoch, index)) for name, view in self._further.items()
            }
            yield self._policy(Batch(inputs, labels, index, View(self._view, self._seed, epoch), further), number)


def plain_batches(split: Split, normalisation: Normalisation, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Yield all samples in order, without augmentation."""
    for rows in torch.split(torch.arange(len(split)), batch_size) if len(split) else ():
        inputs = normalisation(split.inputs(rows).to(device))
        yield Batch(inputs, split.labels[rows].to(device), rows.to(device), View("none", 0, 0))


def _resident(split: Split, device: torch.device) -> Split:
    if not isinstance(split, Arrays) or split.values.nbytes > _RESIDENT_BYTES:
        return split
    return Arrays(split.values.to(device), split.labels.to(device), split.truth)
