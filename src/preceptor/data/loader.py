"""The training batches: shuffled, augmented and normalised, as pure functions of (seed, epoch, index)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from preceptor.data.augment.composition import base_of, view_of
from preceptor.data.augment.extra_views import extra_view
from preceptor.data.augment.views import ORDER, random_bits
from preceptor.data.dataset import Normalisation
from preceptor.data.reader import check_views, read_ahead, shard_of
from preceptor.data.split import Arrays, Split
from preceptor.errors import UsageError
from preceptor.types import Batch, View

__all__ = ["Batches", "FixedViews", "Loader", "LoaderSettings"]

_BLOCK_ORDER = 3  # the stream that shuffles blocks
_BLOCKS_AT_ONCE = 8  # whose samples are shuffled together
_ROWS_AT_ONCE = 2**16  # whose random numbers are drawn, and whose labels and rows go to the device, at once
_RESIDENT_BYTES = 2**31  # splits up to here, Tiny-ImageNet among them, are moved to the device once


@dataclass(frozen=True, slots=True)
class FixedViews:
    """A fixed number of views, used in turn: those for which a teacher's outputs were stored."""

    seed: int
    count: int

    def view(self, name: str, epoch: int) -> View:
        """Return the view of an epoch, both counted from 1."""
        return View(name, self.seed, 1 + (epoch - 1) % self.count)


@runtime_checkable
class Batches(Protocol):
    """The batches of a run, epoch by epoch: pure functions of the epoch and the batch's number in it."""

    @property
    def num_batches(self) -> int: ...
    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderSettings:
    """How samples become batches.

    Attributes:
        batch_size: samples per batch, over all processes; the last batch may be smaller and is kept.
        view: name of the augmentation.
        normalisation: applied after it.
        seed: of order and views.
        device: where batches live.
        extra_views: names of extra views of each sample.
        fixed_views: the views of each sample, in turn, if not those of (seed, epoch).
        workers: processes that read ahead, for splits that are not in memory; 0: none.

    Raises:
        UsageError: for a batch size below 1.
    """

    batch_size: int
    view: str
    normalisation: Normalisation
    seed: int
    device: torch.device
    extra_views: Sequence[str] = ()
    fixed_views: FixedViews | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"data: batch_size {self.batch_size} is not at least 1")

    def num_batches(self, num_samples: int) -> int:
        """Return the batches per epoch."""
        return math.ceil(num_samples / self.batch_size)

    def view_of(self, epoch: int) -> View:
        """Return the view of an epoch, counted from 1."""
        fixed = self.fixed_views
        return View(self.view, self.seed, epoch) if fixed is None else fixed.view(self.view, epoch)

    def make_extra_views(self, raw: Tensor, view: View, index: Tensor) -> dict[str, Tensor]:
        """Return the extra views of raw samples, normalised."""
        return {
            name: self.normalisation(extra_view(name, self.view)(raw, view.seed, view.epoch, index))
            for name in self.extra_views
        }


@dataclass(frozen=True, slots=True)
class _KeyedRows:
    """One process's rows of a batch, and all that is known of them before they are read.

    Attributes:
        rows: where the split's labels are.
        share: see `Batch.share`.
        index: the rows on the batch's device.
        labels: theirs.
        numbers: of each view, the random numbers that make it.
    """

    rows: Tensor
    share: float
    index: Tensor
    labels: Tensor
    numbers: tuple[Tensor, ...]


class Loader:
    """The batches of a training split; order and views are pure functions of (seed, epoch, index).

    Args:
        split: the samples.
        settings: batch size, views, seed and device.
        rank: of this process. It gets only every `world_size`-th row of each batch, from row `rank` on.
        world_size: processes that share each batch.

    Raises:
        UsageError: for fewer rows than processes, an unknown view, or one for images on inputs that are not uint8 images.
    """

    def __init__(self, split: Split, settings: LoaderSettings, *, rank: int = 0, world_size: int = 1) -> None:
        if settings.batch_size < world_size:
            raise UsageError(f"batch_size: {settings.batch_size} rows cannot be shared by {world_size} processes")
        check_views(split, settings.view, settings.extra_views)
        self._split = _resident(split, settings.device)
        self._settings = settings
        self._views = (
            view_of(settings.view, split.makes),
            *(extra_view(name, settings.view) for name in settings.extra_views),
        )
        self._rank = rank
        self._world_size = world_size

    @property
    def batch_size(self) -> int:
        """Samples per batch, over all processes."""
        return self._settings.batch_size

    @property
    def num_samples(self) -> int:
        """Samples of the split."""
        return len(self._split)

    @property
    def num_batches(self) -> int:
        """Batches per epoch; a last batch of a single row, which batch norm cannot train on, waits for another epoch."""
        batches, size = self._settings.num_batches(len(self._split)), self._settings.batch_size
        return batches - 1 if len(self._split) % size == 1 and 1 < size < len(self._split) else batches

    def order(self, epoch: int) -> Tensor:
        """Return the rows in this epoch's order."""
        rows = torch.arange(len(self._split))
        keys = random_bits(self._settings.seed, epoch, rows, stream=ORDER)[:, 0]
        if self._split.blocks is not None:
            keys += _turns(self._split.blocks, self._settings.seed, epoch).to(keys.device) << 32
        return torch.argsort(keys, stable=True)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1), from batch `start` on."""
        settings = self._settings
        view = settings.view_of(epoch)
        to_read, to_yield = tee(self._keyed_rows(view, self.order(epoch), start))
        inputs = read_ahead(
            self._split,
            ((view, keyed.rows) for keyed in to_read),
            device=settings.device,
            workers=settings.workers,
            seed=settings.seed + epoch,
            also_raw=bool(settings.extra_views) and base_of(view.name) in self._split.makes,
        )
        for keyed, (read, raw) in zip(to_yield, inputs, strict=True):
            augmented = self._views[0].apply(read, keyed.numbers[0])
            extra_inputs = read if raw is None else raw
            yield Batch(
                settings.normalisation(augmented),
                keyed.labels,
                keyed.index,
                view,
                extra_views={
                    name: settings.normalisation(extra.apply(extra_inputs, numbers))
                    for name, extra, numbers in zip(
                        settings.extra_views, self._views[1:], keyed.numbers[1:], strict=True
                    )
                },
                share=keyed.share,
                labelled_share=keyed.share,
                sample_share=keyed.share,
            )

    def _keyed_rows(self, view: View, order: Tensor, start: int) -> Iterator[_KeyedRows]:
        """Yield this process's rows of each batch; what can be known of many batches at once goes to the device at once."""
        settings, split = self._settings, self._split
        batches = torch.split(order.to(split.labels.device), settings.batch_size)[start : self.num_batches]
        at_once = max(1, _ROWS_AT_ONCE // settings.batch_size)
        for first in range(0, len(batches), at_once):
            shards = [shard_of(rows, self._rank, self._world_size) for rows in batches[first : first + at_once]]
            rows, lengths = torch.cat([rows for rows, _ in shards]), [len(rows) for rows, _ in shards]
            index = rows.to(settings.device)
            labels = split.labels[rows].to(settings.device)
            numbers = [each.draw(view.seed, view.epoch, index).split(lengths) for each in self._views]
            pieces = zip(shards, index.split(lengths), labels.split(lengths), zip(*numbers, strict=True), strict=True)
            for (own, share), own_index, own_labels, own_numbers in pieces:
                yield _KeyedRows(own, share, own_index, own_labels, own_numbers)


def _turns(blocks: Tensor, seed: int, epoch: int) -> Tensor:
    """Return each sample's turn by its storage block: blocks are shuffled, and a few at a time share a turn."""
    number = int(blocks.max()) + 1 if len(blocks) else 0
    place = torch.argsort(
        torch.argsort(random_bits(seed, epoch, torch.arange(number), stream=_BLOCK_ORDER)[:, 0], stable=True)
    )
    return place[blocks] // _BLOCKS_AT_ONCE


def _resident(split: Split, device: torch.device) -> Split:
    """Return a split in memory that is not large on the device, any other as it is."""
    if not isinstance(split, Arrays) or split.values.nbytes > _RESIDENT_BYTES:
        return split
    return Arrays(split.values.to(device), split.labels.to(device), split.truth)
