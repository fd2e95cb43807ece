"""A split of a data set: in memory, or read sample by sample from a torch Dataset."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from preceptor.data.samples import stacked
from preceptor.errors import UsageError
from preceptor.types import View

__all__ = ["Arrays", "Items", "Joined", "Split", "as_labels", "count_classes", "on_cpu"]

_MOST_CLASSES = 2**31  # that labels can tell apart
_FREE_CLASSES = 100_000  # that labels may imply, beyond one per sample
_COMPARED = 64  # samples of a Dataset that stand for all where reading all would cost too much


class Split(ABC):
    """Samples with their labels, and their true label distribution where it is known.

    Labels are one class per sample, or, of multi-label data, 1 for each class that is present and 0 for the others.

    Attributes:
        makes: the views that the split makes itself while it reads samples; all others are made from `inputs`.
        blocks: the storage block (shard) of each sample, where blocks should be read one after another, or None.
        has_rows: whether any row can be read by its number; else samples come one after another.
        numbers: of the samples in their source, counted from 0 before anything was split off; None: 0, 1, 2, ...
    """

    labels: Int[Tensor, samples * classes]
    truth: Float[Tensor, "samples classes"] | None
    makes: frozenset[str] = frozenset()
    blocks: Int[Tensor, " samples"] | None = None
    has_rows: bool = True
    numbers: Int[Tensor, " samples"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def inputs(self, index: Int[Tensor, " rows"]) -> Tensor:
        """Return raw rows: uint8 images [rows, channels, height, width] or floating-point inputs."""

    def read(self, index: Int[Tensor, " rows"], view: View) -> Tensor:
        """Return rows as they are read for a view: already augmented if the split makes this view itself, else raw."""
        return self.inputs(index)

    @abstractmethod
    def take(self, index: Int[Tensor, " rows"]) -> Split:
        """Return the split of these rows."""

    def check(self) -> None:
        """Check that the samples can be read, as far as that costs little.

        Raises:
            UsageError: when some cannot.
        """
        return

    def identity_bytes(self) -> bytes:
        """Return what identifies these samples beside labels and inputs, such as file names; the fingerprint covers it."""
        return b""


class Arrays(Split):
    """A split in memory.

    Args:
        inputs: one row per sample.
        labels: int64 classes, or [samples, classes] of zeros and ones.
        truth: true label distribution of each sample, rows summing to 1, or None.
        numbers: see `Split`.
    """

    def __init__(
        self, inputs: Tensor, labels: Tensor, truth: Tensor | None = None, numbers: Tensor | None = None
    ) -> None:
        if len(inputs) != len(labels):
            raise UsageError(f"data: {len(inputs)} inputs and {len(labels)} labels")
        self.values = inputs
        self.labels = labels
        self.truth, self.numbers = truth, numbers

    def inputs(self, index: Int[Tensor, " rows"]) -> Tensor:
        """Return these rows."""
        return self.values[index]

    def take(self, index: Int[Tensor, " rows"]) -> Arrays:
        """Return the split of these rows."""
        truth = None if self.truth is None else self.truth[index]
        numbers = index if self.numbers is None else self.numbers[index]
        return Arrays(self.values[index], self.labels[index], truth, numbers)


class Joined(Split):
    """Splits one after another, for evaluation only: no view is made of them.

    Args:
        splits: at least one; the truth is known only if all of them have it.
        rows: which rows of the concatenation belong here; all by default.
    """

    def __init__(self, splits: Sequence[Split], rows: Int[Tensor, " samples"] | None = None) -> None:
        self._splits = splits
        labels, truths = torch.cat([split.labels for split in splits]), [split.truth for split in splits]
        truth = torch.cat([each for each in truths if each is not None]) if None not in truths else None
        self._rows = torch.arange(len(labels)) if rows is None else rows
        self.labels = labels[self._rows]
        self.truth = None if truth is None else truth[self._rows]

    def inputs(self, index: Int[Tensor, " rows"]) -> Tensor:
        """Return these rows."""
        rows, first = self._rows[index], 0
        inputs: list[Tensor] = []
        places: list[Tensor] = []
        for split in self._splits:
            here = torch.nonzero((rows >= first) & (rows < first + len(split))).flatten()
            if len(here):
                inputs.append(split.inputs(rows[here] - first))
                places.append(here)
            first += len(split)
        return torch.cat(inputs)[torch.cat(places).argsort()]

    def take(self, index: Int[Tensor, " rows"]) -> Joined:
        """Return the split of these rows."""
        return Joined(self._splits, self._rows[index])

    def check(self) -> None:
        """Check each split."""
        for split in self._splits:
            split.check()

    def identity_bytes(self) -> bytes:
        """Return what identifies the samples of all splits."""
        return b"\n".join(split.identity_bytes() for split in self._splits)


@runtime_checkable
class _HasTargets(Protocol):
    """What torchvision's data sets have: all labels at once."""

    targets: Any


@runtime_checkable
class _HasTargetTransform(Protocol):
    """What torchvision's data sets have, too: it may turn `targets` into other labels."""

    target_transform: Any


class Items(Split):
    """A map-style torch Dataset of (input, label), read sample by sample.

    Args:
        dataset: has a length and returns (input, label) pairs; inputs are tensors, arrays or PIL images of one shape.
        rows: which of its samples belong here; all by default.
        labels: of these rows, if already known; each is compared with that of its sample when that is read.
    """

    def __init__(self, dataset: Dataset[Any], rows: Tensor | None = None, labels: Tensor | None = None) -> None:
        self._dataset = dataset
        self._rows = self.numbers = torch.arange(len(dataset)) if rows is None else rows  # type: ignore[arg-type]
        self.labels = self._read_labels() if labels is None else labels
        self.truth = None

    def inputs(self, index: Int[Tensor, " rows"]) -> Tensor:
        """Read and stack these rows."""
        items = self._rows[index].tolist()
        pairs = [self._pair(item) for item in items]
        for item, pair, label in zip(items, pairs, self.labels[index], strict=True):
            if not _is_label(pair[1], label):
                raise UsageError(
                    f"data: item {item} of the Dataset came with the label {pair[1]}, and with {label.tolist()} before or in "
                    "its .targets; a sample has one label"
                )
        return stacked([pair[0] for pair in pairs], [f"item {item} of the Dataset" for item in items])

    def take(self, index: Int[Tensor, " rows"]) -> Items:
        """Return the split of these rows."""
        return Items(self._dataset, self._rows[index], self.labels[index])

    def _read_labels(self) -> Tensor:
        is_changed = isinstance(self._dataset, _HasTargetTransform) and self._dataset.target_transform is not None
        if isinstance(self._dataset, _HasTargets) and not is_changed:
            labels = self._targets(on_cpu(self._dataset.targets))
            if labels is not None:
                return labels
        return as_labels(np.asarray([self._pair(item)[1] for item in self._rows.tolist()]), "data")

    def _targets(self, targets: Any) -> Tensor | None:
        """Return the labels in `targets`, or None if they are not those of the samples: other in number, or for some of a few."""
        try:
            values = np.asarray(targets)
        except ValueError:  # rows of several lengths
            return None
        if values.ndim == 0 or len(values) != len(self._rows):
            return None
        places = torch.linspace(0, len(values) - 1, min(len(values), _COMPARED)).long().tolist()
        if not all(_is_label(self._pair(place)[1], values[place]) for place in places):
            return None
        return as_labels(values, "data")

    def identity_bytes(self) -> bytes:
        """Return a sha256 of a few samples, evenly spaced."""
        digest = hashlib.sha256()
        for row in torch.linspace(0, len(self) - 1, min(len(self), _COMPARED)).long():
            digest.update(self.inputs(row[None]).contiguous().numpy().tobytes())
        return digest.digest()

    def _pair(self, item: int) -> Sequence[Any]:
        """Return an item, whose input and label come first."""
        pair = self._dataset[item]
        if not isinstance(pair, tuple | list) or len(pair) < 2:
            keys = f" with keys {', '.join(map(repr, pair))}" if isinstance(pair, Mapping) else ""
            kind = f"{type(pair).__name__}{keys}"
            raise UsageError(f"data: item {item} of the Dataset is of type {kind}, expected (input, label)")
        return on_cpu(pair[0]), on_cpu(pair[1])


def on_cpu(values: Any) -> Any:
    """Return a tensor on the CPU, without gradients; anything else as it is."""
    return values.detach().cpu() if isinstance(values, Tensor) else values


def _is_label(value: Any, label: Any) -> bool:
    """Return whether two labels, numbers or rows of zeros and ones, are the same."""
    try:
        one, other = (np.asarray(each).astype(np.float64).squeeze() for each in (value, label))
    except (TypeError, ValueError):
        return False
    return np.array_equal(one, other)


def as_labels(values: NDArray[Any] | Tensor, where: str, num_classes: int | None = None) -> Tensor:
    """Return labels as int64, checked; zeros and ones [samples, classes], of multi-label data, too.

    Args:
        values: of any numeric type; whole numbers from 0, one per sample, or rows of zeros and ones.
        where: the source, for messages.
        num_classes: labels must be below it; None: no upper bound.

    Raises:
        UsageError: for a label that is no whole number or out of range; the message names the first and its row.
    """
    array = np.asarray(on_cpu(values))
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "iufb" and num_classes is None:
        return _as_multilabels(array, where)
    if array.ndim != 1 or array.dtype.kind not in "iufb":
        raise UsageError(
            f"{where}: labels have shape {array.shape} and type {array.dtype}, expected one number per sample"
        )
    bad = (array != np.floor(array)) | (array < 0) | ~np.isfinite(array)
    bad |= array >= (_MOST_CLASSES if num_classes is None else num_classes)
    if bad.any():
        row = int(np.argmax(bad))
        allowed = f"0..{(_MOST_CLASSES if num_classes is None else num_classes) - 1}"
        raise UsageError(f"{where}: label {array[row]} of sample {row} is not in {allowed}")
    return torch.from_numpy(array.astype(np.int64))


def count_classes(labels: Sequence[Tensor], where: str) -> int:
    """Return the number of classes that labels imply: one more than the largest.

    Args:
        labels: int64, of each split.
        where: the source, for messages.

    Raises:
        UsageError: when that is far more than there are samples: a network's last layer would have to be as large.

    Examples:
        >>> count_classes([torch.tensor([0, 2]), torch.tensor([1])], "data")
        3
    """
    largest, samples = max((int(each.max()) for each in labels if len(each)), default=0), sum(map(len, labels))
    if largest >= samples + _FREE_CLASSES:
        raise UsageError(
            f"{where}: label {largest:,} means {largest + 1:,} classes, and there are {samples:,} samples; number the classes "
            "from 0 without gaps"
        )
    return largest + 1


def _as_multilabels(array: NDArray[Any], where: str) -> Tensor:
    bad = ((array != 0) & (array != 1)).any(1)
    if bad.any():
        row = int(np.argmax(bad))
        raise UsageError(f"{where}: labels {array[row].tolist()} of sample {row} are not all 0 or 1")
    return torch.from_numpy(array.astype(np.int64))
