"""Batches: shuffled, augmented and normalised for training; in order and plain for evaluation."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import tee
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from preceptor.data.augment.extra_views import extra_view
from preceptor.data.augment.views import ORDER, VIEWS, random_bits
from preceptor.data.dataset import Normalisation
from preceptor.data.split import Arrays, Split
from preceptor.errors import UsageError
from preceptor.types import Batch, View

__all__ = ["Batches", "FixedViews", "Loader", "check_views", "plain_batches", "seen_batches"]

_Read = tuple[Tensor, Tensor | None] | UsageError
_Share = tuple[Tensor, float]
_BLOCK_ORDER = 3  # the stream that shuffles blocks
_BLOCKS_AT_ONCE = 8  # whose samples are shuffled together
_RESIDENT_BYTES = 2**30  # splits up to here are moved to the device once


@dataclass(frozen=True, slots=True)
class FixedViews:
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
        extra_views: names of further views of each sample.
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
        extra_views: Sequence[str] = (),
        shown: FixedViews | None = None,
        workers: int = 0,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"data: batch_size {batch_size} is not at least 1")
        if batch_size < part[1]:
            raise UsageError(f"batch_size: {batch_size} rows cannot be shared by {part[1]} processes")
        check_views(split, view, extra_views)
        self._split = _resident(split, device)
        self.batch_size = batch_size
        self._view = view
        self._normalisation = normalisation
        self._seed = seed
        self._device = device
        self._further = {name: extra_view(name, view) for name in extra_views}
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
        keys = random_bits(self._seed, epoch, rows, stream=ORDER)[:, 0]
        if self._split.blocks is not None:
            keys += _turns(self._split.blocks, self._seed, epoch).to(keys.device) << 32
        return torch.argsort(keys, stable=True)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1), from batch `start` on."""
        order = self.order(epoch)
        seen = View(self._view, self._seed, epoch) if self._shown is None else self._shown.view(self._view, epoch)
        shares = [_share(rows, self._part) for rows in torch.split(order, self.batch_size)[start:]]
        for (rows, share), (read, raw) in zip(shares, self._read(shares, seen, epoch), strict=True):
            batch = self._batch(rows, read, read if raw is None else raw, seen)
            yield replace(batch, share=share, labelled_share=share, sample_share=share)

    def _batch(self, rows: Tensor, read: Tensor, raw: Tensor, seen: View) -> Batch:
        batch = _seen_batch(read, self._split, rows, seen, self._normalisation)
        extra_views = {
            name: self._normalisation(view(raw, seen.seed, seen.epoch, batch.index))
            for name, view in self._further.items()
        }
        return replace(batch, extra_views=extra_views)

    def _read(self, shares: Sequence[_Share], view: View, epoch: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        reader = _Reader(self._split, also_raw=bool(self._further) and view.name in self._split.makes)
        wanted = ((view, rows) for rows, _ in shares)
        return _read(reader, wanted, device=self._device, workers=self._workers, seed=self._seed + epoch)


def _seen_batch(read: Tensor, split: Split, rows: Tensor, view: View, normalisation: Normalisation) -> Batch:
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


def check_views(split: Split, view: str, extra_views: Sequence[str] = ()) -> None:
    """Check that a split's samples can be seen in these views.

    Raises:
        UsageError: for an unknown view, or one for images on inputs that are not uint8 images.
    """
    if view not in VIEWS:
        near = difflib.get_close_matches(view, VIEWS, n=1) or list(VIEWS)
        raise UsageError(f"data.view: unknown name {view!r}; did you mean {' or '.join(near)}?")
    sample = split.inputs(torch.tensor([0]))
    if (view != "none" or extra_views) and (sample.dtype != torch.uint8 or sample.ndim != 4):
        what, way_out = (
            (f"data.view: {view}", "use data.view=none")
            if view != "none"
            else (f"view {extra_views[0]}", "this method cannot be used with them")
        )
        raise UsageError(
            f"{what} works on uint8 images, and the inputs are {sample.dtype} {tuple(sample.shape[1:])}; {way_out}"
        )
    if any(name.startswith("rotated") for name in extra_views) and sample.shape[2] != sample.shape[3]:
        raise UsageError(f"view {extra_views[0]} needs square images, and the inputs are {tuple(sample.shape[1:])}")


def seen_batches(
    split: Split,
    wanted: Iterable[tuple[View, Tensor]],
    normalisation: Normalisation,
    device: torch.device,
    *,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield the batch that each of some rows of a split make, seen in the view beside them.

    Args:
        split: the samples.
        wanted: views and rows, looked at as far as is read ahead.
        normalisation: applied to what the views show.
        device: where batches live.
        workers: processes that read ahead, for splits that are not held in memory; 0: none.
    """
    asked, told = tee(wanted)
    read = _read(_Reader(split), asked, device=device, workers=workers, seed=0)
    for (view, rows), (shown, _) in zip(told, read, strict=True):
        yield _seen_batch(shown, split, rows, view, normalisation)


def plain_batches(
    split: Split,
    normalisation: Normalisation,
    batch_size: int,
    device: torch.device,
    *,
    workers: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Yield all samples in order, without augmentation.

    Args:
        split: the samples.
        normalisation: applied to them.
        batch_size: samples a batch.
        device: where batches live.
        workers: as in `seen_batches`.
        part: (number, count): of each batch, only every count-th row from that one on, and nothing else is read. All parts
            have as many batches: one without a row in the last gets a row of another, with share 0.
    """
    view = View("none", 0, 0)
    shares = [_share(rows, part) for rows in torch.split(torch.arange(len(split)), batch_size)] if len(split) else []
    wanted = [(view, rows) for rows, _ in shares]
    batches = seen_batches(split, wanted, normalisation, device, workers=min(workers, len(wanted)))
    for (_, share), batch in zip(shares, batches, strict=True):
        yield replace(batch, share=share)


def _share(rows: Tensor, part: tuple[int, int]) -> _Share:
    """Return a part's rows of a batch and what `Batch.share` they have; 0: a row to go through the motions with."""
    number, count = part
    own = rows[number::count]
    return (own, len(own) * count / len(rows)) if len(own) else (rows[:1], 0.0)


class _Reader(Dataset[_Read]):
    """What a split reads of rows for a view, asked for by both; its inputs too, where it makes the view itself.

    A user's mistake is returned, for another process would hand it on with its whole traceback as its message.
    """

    def __init__(self, split: Split, *, also_raw: bool = False) -> None:
        self._split = split
        self._also_raw = also_raw

    @property
    def is_in_memory(self) -> bool:
        """Whether the samples are in memory: nothing has to be read ahead."""
        return isinstance(self._split, Arrays)

    def __getitem__(self, wanted: tuple[View, Tensor]) -> _Read:
        view, rows = wanted
        index = rows.to(self._split.labels.device)
        try:
            return self._split.seen(index, view), self._split.inputs(index) if self._also_raw else None
        except UsageError as error:
            return error


def _read(
    reader: _Reader, wanted: Iterable[tuple[View, Tensor]], *, device: torch.device, workers: int, seed: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield what is read, on the device: read ahead by other processes where there are any."""
    for read in _read_ahead(reader, wanted, pinned=device.type == "cuda", workers=workers, seed=seed):
        if isinstance(read, UsageError):
            raise read
        shown, raw = read
        yield shown.to(device, non_blocking=True), None if raw is None else raw.to(device, non_blocking=True)


def _read_ahead(
    reader: _Reader, wanted: Iterable[tuple[View, Tensor]], *, pinned: bool, workers: int, seed: int
) -> Iterable[_Read]:
    if reader.is_in_memory or workers == 0:
        return (reader[asked] for asked in wanted)
    ahead: DataLoader[_Read] = DataLoader(
        reader,
        batch_size=None,
        sampler=wanted,  # type: ignore[arg-type]
        num_workers=workers,
        pin_memory=pinned,
        generator=torch.Generator().manual_seed(seed),  # the run's own random numbers stay untouched
    )
    return ahead


def _turns(blocks: Tensor, seed: int, epoch: int) -> Tensor:
    """Return when each sample's turn comes where samples lie in blocks: the blocks are shuffled and taken a few at a time."""
    number = int(blocks.max()) + 1 if len(blocks) else 0
    place = torch.argsort(
        torch.argsort(random_bits(seed, epoch, torch.arange(number), stream=_BLOCK_ORDER)[:, 0], stable=True)
    )
    return place[blocks] // _BLOCKS_AT_ONCE


def _resident(split: Split, device: torch.device) -> Split:
    if not isinstance(split, Arrays) or split.values.nbytes > _RESIDENT_BYTES:
        return split
    return Arrays(split.values.to(device), split.labels.to(device), split.truth)
