"""Samples that come one after another and cannot be read by their number: torch's IterableDataset."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from preceptor.data.augment.composition import view_of
from preceptor.data.loader import LoaderSettings
from preceptor.data.reader import check_views
from preceptor.data.samples import stacked
from preceptor.data.split import Arrays, Split, as_labels, on_cpu
from preceptor.errors import UsageError
from preceptor.types import Batch

__all__ = ["Stream", "StreamLoader", "read_all"]

_FIRST = 64  # samples that are read in advance, for shapes and classes
_Chunk = tuple[Tensor, Tensor] | UsageError


@runtime_checkable
class _SetsEpoch(Protocol):
    """A stream that shuffles itself for each pass."""

    def set_epoch(self, epoch: int) -> None: ...


class Stream(Split):
    """The samples of an IterableDataset, or of anything that can be iterated over repeatedly, as a training split.

    A pass over the stream must give the same samples whenever it is repeated. A shuffled stream has a `set_epoch`, which gets
    the number of the pass, from 0. Only the first few rows can be read by their number.

    Args:
        dataset: yields (input, label) pairs.
        samples_per_epoch: the next epoch continues where one ends, and a stream that ends starts over; by default the stream's
            length.

    Raises:
        UsageError: when neither the stream nor the caller says a length, or it is empty or yields no such pairs.
    """

    has_rows = False

    def __init__(self, dataset: Iterable[Any], *, samples_per_epoch: int | None = None) -> None:
        if isinstance(dataset, DataLoader) and dataset.batch_size is not None:
            raise UsageError("data: a DataLoader makes batches of its own; pass what it reads, loader.dataset")
        length = len(dataset) if isinstance(dataset, Sized) else None
        if samples_per_epoch is None and length is None:
            raise UsageError(
                f"data: {type(dataset).__name__} has no length; pass preceptor.data.Stream(dataset, samples_per_epoch=N)"
            )
        self._dataset = dataset
        self._length = length
        self._samples = samples_per_epoch if samples_per_epoch is not None else int(length or 0)
        if self._samples < 1:
            raise UsageError(f"data: samples_per_epoch {self._samples} is not at least 1")
        first = list(islice(self.samples(0), min(_FIRST, self._samples)))
        self._first, self.labels = _stacked(first, 0)
        self.truth = None

    def __len__(self) -> int:
        return self._samples

    def inputs(self, index: Int[Tensor, " rows"]) -> Tensor:
        """Return some of the first rows.

        Raises:
            UsageError: for any other.
        """
        if len(index) and int(index.max()) >= len(self._first):
            raise UsageError(f"data: row {int(index.max())} of a stream cannot be read by its number")
        return self._first[index]

    def take(self, index: Int[Tensor, " rows"]) -> Split:
        """Refuse.

        Raises:
            UsageError: always.
        """
        raise UsageError("data: a stream cannot be cut into splits; pass train, validation and test")

    def samples(self, position: int) -> Iterator[tuple[Any, Any]]:
        """Yield samples without end, pass after pass, from this position on.

        Raises:
            UsageError: when a pass yields nothing, or fewer samples than the stream's length.
        """
        number, to_skip = (0, position) if self._length is None else divmod(position, self._length)
        while True:
            if isinstance(self._dataset, _SetsEpoch):
                self._dataset.set_epoch(number)
            count = 0
            for sample in islice(iter(self._dataset), self._length):
                count += 1
                if count > to_skip:
                    yield sample
            if count == 0 or (self._length is not None and count < self._length):
                raise UsageError(f"data: the stream gave {count} samples, its length says {self._length or 'nothing'}")
            number, to_skip = number + 1, max(0, to_skip - count)


def read_all(stream: Stream) -> Arrays:
    """Return an epoch of a stream in memory."""
    return Arrays(*_stacked(list(islice(stream.samples(0), len(stream))), 0))


class StreamLoader:
    """The batches of a stream, in its own order; views are pure functions of (seed, epoch, position in the epoch).

    Args:
        stream: the samples.
        settings: batch size, view, seed and device; with workers, one process reads ahead: more would each read the whole
            stream.
        num_classes: labels must be below it.

    Raises:
        UsageError: for an unknown view, or one for images on inputs that are not uint8 images.
    """

    def __init__(self, stream: Stream, settings: LoaderSettings, num_classes: int) -> None:
        check_views(stream, settings.view, settings.extra_views)
        self._stream = stream
        self._settings = settings
        self._num_classes = num_classes
        self._next_batch = -1
        self._chunks: Iterator[_Chunk] = iter(())
        self._stop: Callable[[], object] | None = None

    @property
    def num_batches(self) -> int:
        """Batches per epoch."""
        return self._settings.num_batches(len(self._stream))

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1), from batch `start` on."""
        settings = self._settings
        view, device = settings.view_of(epoch), settings.device
        for number in range(start, self.num_batches):
            raw, labels = self._chunk((epoch - 1) * self.num_batches + number)
            first = number * settings.batch_size
            index = torch.arange(first, first + len(raw), device=device)
            if int(labels.max()) >= self._num_classes:
                raise UsageError(
                    f"data: the stream gave label {int(labels.max())}, the data have {self._num_classes} classes"
                )
            raw = raw.to(device)
            inputs = settings.normalisation(view_of(view.name)(raw, view.seed, view.epoch, index))
            yield Batch(inputs, labels.to(device), index, view, settings.make_extra_views(raw, view, index))

    def _chunk(self, number: int) -> tuple[Tensor, Tensor]:
        """Return a batch by its number in the run; unless it is the next one, the stream starts over."""
        if number != self._next_batch:
            settings = self._settings
            if self._stop is not None:
                self._stop()
            chunks = _Chunks(self._stream, settings.batch_size, *divmod(number, self.num_batches))
            if settings.workers == 0:
                self._chunks = iter(chunks)
            else:
                generator = torch.Generator().manual_seed(settings.seed)
                self._chunks = iter(DataLoader(chunks, batch_size=None, num_workers=1, generator=generator))
                # its process ends with this loader, not when the garbage collector comes to it
                self._stop = weakref.finalize(self, self._chunks._shutdown_workers)  # type: ignore[attr-defined]
        chunk = next(self._chunks)
        if isinstance(chunk, UsageError):
            raise chunk
        self._next_batch = number + 1
        raw, labels = chunk
        return raw, labels


class _Chunks(IterableDataset[_Chunk]):
    """A stream's samples in batches, without end; a user's mistake is yielded as it is, also from another process."""

    def __init__(self, stream: Stream, batch_size: int, epoch: int, batch: int) -> None:
        self._stream = stream
        self._batch_size = batch_size
        self._epoch = epoch
        self._batch = batch

    def __iter__(self) -> Iterator[_Chunk]:
        total, first = len(self._stream), self._batch * self._batch_size
        position = self._epoch * total + first
        samples = self._stream.samples(position)
        try:
            while True:
                rows = min(self._batch_size, total - first)
                yield _stacked(list(islice(samples, rows)), position)
                position += rows
                first = (first + rows) % total
        except UsageError as error:
            yield error


def _stacked(samples: Sequence[Any], position: int) -> tuple[Tensor, Tensor]:
    """Return the inputs and labels of samples, checked."""
    for place, sample in enumerate(samples, start=position):
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            raise UsageError(
                f"data: sample {place} of the stream is of type {type(sample).__name__}, expected (input, label)"
            )
    names = [f"sample {place} of the stream" for place in range(position, position + len(samples))]
    labels = as_labels(np.asarray([on_cpu(sample[1]) for sample in samples]), "data")
    return stacked([on_cpu(sample[0]) for sample in samples], names), labels
