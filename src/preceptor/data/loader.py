"""Batches: shuffled, augmented and normalised for training; in order and plain for evaluation."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from preceptor.data.dataset import Normalisation
from preceptor.data.further import further_view
from preceptor.data.split import Arrays, Split
from preceptor.data.views import ORDER, VIEWS, draws
from preceptor.errors import UsageError
from preceptor.types import Batch, View

__all__ = ["Batches", "Loader", "Shown", "check_views", "plain_batches", "seen_batch"]

_Read = tuple[Tensor, Tensor | None] | UsageError
_BLOCK_ORDER = 3  # the stream that shuffles blocks
_BLOCKS_AT_ONCE = 8  # whose samples are shuffled together
_RESIDENT_BYTES = 2**30  # splits up to here are moved to the device once


@dataclass(frozen=True, slots=True)
class Shown:
    """A fixed number of views, shown in turn: those for which answers were stored."""

    seed: int
    count: int

    def view(self, name: str, epoch: int) -> View:
        """Return which one is shown in an epoch, both counted from 1."""
        return View(name, self.seed, 1 + (epoch - 1) % self.count)


@runtime_checkable
class Batches(Protocol):
    """The batches of a run, epoch by epoch: pure functions of the epoch and the batch's number in it."""

    @property
    def num_batches(self) -> int: ...
    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]: ...


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
        shown: which views are shown, where that is not (seed, epoch): epoch after epoch those numbered 1..count of
            another seed, over and over.
        workers: processes that read ahead, for splits that are not held in memory; 0: none.
        part: (number, count): of each batch, only every count-th row from that one on; several processes share a batch so.

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
        shown: Shown | None = None,
        workers: int = 0,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"data: batch_size {batch_size} is not at least 1")
        if batch_size < part[1]:
            raise UsageError(f"batch_size: {batch_size} rows cannot be shared by {part[1]} processes")
        check_views(split, view, further)
        self._split = _resident(split, device)
        self.batch_size = batch_size
        self._view = view
        self._normalisation = normalisation
        self._seed = seed
        self._device = device
        self._further = {name: further_view(name, view) for name in further}
        self._shown = shown
        self._workers = workers
        self._part = part

    @property
    def num_samples(self) -> int:
        """Samples of the split."""
        return len(self._split)

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(self._split) / self.batch_size)

    def order(self, epoch: int) -> Tensor:
        """Return the rows in this epoch's order."""
        rows = torch.arange(len(self._split))
        keys = draws(self._seed, epoch, rows, stream=ORDER)[:, 0]
        if self._split.blocks is not None:
            keys += _turns(self._split.blocks, self._seed, epoch).to(keys.device) << 32
        return torch.argsort(keys, stable=True)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1), from batch `start` on."""
        order = self.order(epoch)
        seen = View(self._view, self._seed, epoch) if self._shown is None else self._shown.view(self._view, epoch)
        whole = torch.split(order, self.batch_size)[start:]
        number, count = self._part
        rows_of = [rows[number::count] if number < len(rows) else rows[:1] for rows in whole]
        for every, rows, (read, raw) in zip(whole, rows_of, self._read(rows_of, seen, epoch), strict=True):
            # 0: a row to go through the motions with
            share = len(rows) * count / len(every) if number < len(every) else 0.0
            batch = self._batch(rows, read, read if raw is None else raw, seen)
            yield replace(batch, share=share, labelled_share=share, sample_share=share)

    def _batch(self, rows: Tensor, read: Tensor, raw: Tensor, seen: View) -> Batch:
        batch = seen_batch(read, self._split, rows, seen, self._normalisation)
        further = {
            name: self._normalisation(view(raw, seen.seed, seen.epoch, batch.index))
            for name, view in self._further.items()
        }
        return replace(batch, further=further)

    def _read(self, rows: Sequence[Tensor], view: View, epoch: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield what is read of each batch, on the device: read ahead by other processes where there are any."""
        for read in self._read_ahead(rows, view, epoch):
            if isinstance(read, UsageError):
                raise read
            shown, raw = read
            yield (
                shown.to(self._device, non_blocking=True),
                None if raw is None else raw.to(self._device, non_blocking=True),
            )

    def _read_ahead(self, rows: Sequence[Tensor], view: View, epoch: int) -> Iterable[_Read]:
        read = _Reader(self._split, view, also_raw=bool(self._further) and view.name in self._split.makes)
        if isinstance(self._split, Arrays) or self._workers == 0:
            return (read[chosen] for chosen in rows)
        ahead: DataLoader[_Read] = DataLoader(
            read,
            batch_size=None,
            sampler=rows,  # type: ignore[arg-type]
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator().manual_seed(self._seed + epoch),  # the run's own random numbers stay untouched
        )
        return ahead


def seen_batch(read: Tensor, split: Split, rows: Tensor, view: View, normalisation: Normalisation) -> Batch:
    """Return the batch that some rows of a split make, seen in one view.

    Args:
        read: the rows as the split reads them for this view, on the device where the batch shall be.
        split: has their labels, and may have made the view.
        rows: of the split.
        view: which augmentation.
        normalisation: applied after it.
    """
    index = rows.to(read.device)
    labels = split.labels[rows.to(split.labels.device)].to(read.device)
    shown = read if view.name in split.makes else VIEWS[view.name](read, view.seed, view.epoch, index)
    return Batch(normalisation(shown), labels, index, view)


def check_views(split: Split, view: str, further: Sequence[str] = ()) -> None:
    """Check that a split's samples can be seen in these views.

    Raises:
        UsageError: for an unknown view, or one for images on inputs that are not uint8 images.
    """
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


class _Reader(Dataset[_Read]):
    """What a split reads of a batch for a view, asked for by its rows; its inputs too, where it makes the view itself.

    A user's mistake is returned, for another process would hand it on with its whole traceback as its message.
    """

    def __init__(self, split: Split, view: View, *, also_raw: bool) -> None:
        self._split = split
        self._view = view
        self._also_raw = also_raw

    def __getitem__(self, rows: Tensor) -> _Read:
        index = rows.to(self._split.labels.device)
        try:
            return self._split.seen(index, self._view), self._split.inputs(index) if self._also_raw else None
        except UsageError as error:
            return error


def plain_batches(split: Split, normalisation: Normalisation, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Yield all samples in order, without augmentation."""
    for rows in torch.split(torch.arange(len(split)), batch_size) if len(split) else ():
        inputs = normalisation(split.inputs(rows).to(device))
        yield Batch(inputs, split.labels[rows].to(device), rows.to(device), View("none", 0, 0))


def _turns(blocks: Tensor, seed: int, epoch: int) -> Tensor:
    """Return when each sample's turn comes where samples lie in blocks: the blocks are shuffled and taken a few at a time."""
    number = int(blocks.max()) + 1 if len(blocks) else 0
    place = torch.argsort(
        torch.argsort(draws(seed, epoch, torch.arange(number), stream=_BLOCK_ORDER)[:, 0], stable=True)
    )
    return place[blocks] // _BLOCKS_AT_ONCE


def _resident(split: Split, device: torch.device) -> Split:
    if not isinstance(split, Arrays) or split.values.nbytes > _RESIDENT_BYTES:
        return split
    return Arrays(split.values.to(device), split.labels.to(device), split.truth)
