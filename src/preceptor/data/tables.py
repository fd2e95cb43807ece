"""Rows of a table: numeric columns standardised, categories one-hot, a column of classes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor.data.columns import Columns, read_columns, with_gaps
from preceptor.data.dataset import Source, held_out
from preceptor.data.split import Arrays
from preceptor.errors import UsageError

__all__ = ["class_labels", "table"]

Cells = Sequence[str | None]
Values = NDArray[np.float64]
_TEST_SHARE = 0.2
_FEW = 20  # so many categories or classes are never too many
_SHARE_OF_ROWS = 0.5  # and beyond, so many for a row are: names or measurements, not classes


def table(
    *,
    path: str,
    target: str,
    test: str | None = None,
    missing: str = "refuse",
    ignore: str | Sequence[str] = (),
) -> Source:
    """Rows of a .csv, .tsv or .parquet file with a column of classes: for mlp; categories become one-hot columns.

    Args:
        path: the file; its first line names the columns.
        target: the column with the class, numbers or words.
        test: a file of test rows with the same columns; without it, a fifth of the rows is split off.
        missing: "refuse" missing values, or "indicator": the column's mean stands in and a further column says so, and a
            missing category is a category.
        ignore: columns to leave out, such as row numbers.
    """
    if missing not in {"refuse", "indicator"}:
        raise UsageError(f"data.missing: {missing!r} is neither refuse nor indicator")
    train = with_gaps(read_columns(path, "data.path"))
    tested = None if test is None else with_gaps(read_columns(test, "data.test"))
    left_out = [ignore] if isinstance(ignore, str) else list(ignore)
    for key, name in (("data.target", target), *(("data.ignore", name) for name in left_out)):
        if name not in train:
            raise UsageError(f"{key}: {path} has no column {name!r}; it has {', '.join(train)}")
    names = [name for name in train if name != target and name not in left_out]
    if not names:
        raise UsageError(f"data.target: {path} has no column beside {target}")
    if tested is not None and (lacking := [name for name in (*names, target) if name not in tested]):
        raise UsageError(f"data.test: {test} has no column {', '.join(map(repr, lacking))}")
    class_names, labels = class_labels(train[target], path, target)
    is_train = torch.ones(len(labels), dtype=torch.bool)
    if tested is None:
        is_train[held_out(labels, round(_TEST_SHARE * len(labels)), 0, stream=9)] = False
        note = (
            f"table: {int((~is_train).sum()):,} of {len(labels):,} rows are test, stratified (no data.test was given)"
        )
    else:
        note = f"table: {len(tested[target]):,} test rows of {test}"
    encoders = [_encoder(name, _some(train[name], is_train), missing) for name in names]
    whole = _encoded(encoders, train, path, missing)
    if tested is None:
        parts = Arrays(whole[is_train], labels[is_train]), Arrays(whole[~is_train], labels[~is_train])
    else:
        _, test_labels = class_labels(tested[target], str(test), target, class_names)
        parts = Arrays(whole, labels), Arrays(_encoded(encoders, tested, str(test), missing), test_labels)
    return Source(
        name=f"table:{path}",
        train=parts[0],
        test=parts[1],
        class_names=class_names,
        protocol="vectors",
        notes=(note, *_described(encoders, missing)),
    )


def class_labels(
    cells: Cells, path: str, target: str, known: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], Tensor]:
    """Return the classes that a column names, in the order of numbers or of the alphabet, and each row's.

    Args:
        cells: of the column.
        path: of its file, for messages.
        target: the column's name.
        known: the classes, where other rows have named them already.

    Raises:
        UsageError: for a missing or unknown class, for fewer than two, and for a column of measurements.
    """
    if None in cells:
        raise UsageError(f"data.target: {path}: column {target} is empty in row {1 + cells.index(None)}")
    words = [str(cell) for cell in cells]
    found = set(words)
    if known is None:
        if len(found) > max(_FEW, _SHARE_OF_ROWS * len(words)):
            raise UsageError(
                f"data.target: column {target} of {path} has {len(found):,} different values in {len(words):,} rows: no classes"
            )
        is_numeric = all(_number(word) is not None for word in found)
        known = tuple(sorted(found, key=lambda word: (_number(word) or 0.0, word) if is_numeric else (0.0, word)))
        if len(known) < 2:
            raise UsageError(f"data.target: column {target} of {path} has only the class {known[0]!r}")
    place = {name: number for number, name in enumerate(known)}
    if foreign := sorted(found - set(known)):
        raise UsageError(f"data.target: {path}: class {foreign[0]!r} is not among the training rows'")
    return known, torch.tensor([place[word] for word in words])


class _Encoder(ABC):
    """How a column becomes numbers."""

    name: str

    @abstractmethod
    def __call__(self, cells: Cells, path: str) -> Values:
        """Return a column or several, [rows, columns]."""


class _Numeric(_Encoder):
    """Standardised by the training rows' mean and standard deviation; a missing value becomes the mean."""

    def __init__(self, name: str, cells: Cells, *, has_indicator: bool) -> None:
        self.name = name
        known = np.array([_number(cell) for cell in cells if cell is not None])
        self._mean, self._std = float(known.mean()), float(known.std()) or 1.0
        self._has_indicator = has_indicator

    def __call__(self, cells: Cells, path: str) -> Values:
        """Return the values, and 1 where one is missing if that may be."""
        numbers = [self._mean if cell is None else _number(cell) for cell in cells]
        if None in numbers:
            row = numbers.index(None)
            raise UsageError(f"data: {path}: {cells[row]!r} in row {1 + row} of column {self.name} is no number")
        values = (np.array(numbers, dtype=np.float64)[:, None] - self._mean) / self._std
        is_missing = np.array([cell is None for cell in cells], dtype=np.float64)[:, None]
        return np.hstack([values, is_missing]) if self._has_indicator else values


class _Categorical(_Encoder):
    """One column for each category of the training rows; another category is none of them."""

    def __init__(self, name: str, cells: Cells) -> None:
        self.name = name
        self.categories = sorted(set(cells), key=lambda cell: (cell is None, cell or ""))
        if len(self.categories) > max(_FEW, _SHARE_OF_ROWS * len(cells)):
            raise UsageError(
                f"data: column {name} has {len(self.categories):,} different words in {len(cells):,} rows; leave it out "
                f"with data.ignore=[{name}]"
            )

    def __call__(self, cells: Cells, path: str) -> Values:
        """Return zeros with a one."""
        return np.array([[cell == category for category in self.categories] for cell in cells], dtype=np.float64)


def _encoder(name: str, cells: Cells, missing: str) -> _Encoder:
    known = [cell for cell in cells if cell is not None]
    if not known:
        raise UsageError(
            f"data: column {name} has no value in any training row; leave it out with data.ignore=[{name}]"
        )
    if all(_number(cell) is not None for cell in known):
        return _Numeric(name, cells, has_indicator=missing == "indicator" and len(known) < len(cells))
    return _Categorical(name, cells)


def _encoded(encoders: Sequence[_Encoder], columns: Columns, path: str, missing: str) -> Tensor:
    for encoder in encoders if missing == "refuse" else ():
        cells = columns[encoder.name]
        if None in cells:
            number = sum(cell is None for cell in cells)
            raise UsageError(
                f"data: {path}: column {encoder.name} has {number:,} missing values, the first in row "
                f"{1 + cells.index(None)}; data.missing=indicator goes on with them, "
                f"data.ignore=[{encoder.name}] without the column"
            )
    return torch.from_numpy(np.hstack([encoder(columns[encoder.name], path) for encoder in encoders])).float()


def _described(encoders: Sequence[_Encoder], missing: str) -> tuple[str, ...]:
    numeric = sum(isinstance(encoder, _Numeric) for encoder in encoders)
    words = ", ".join(f"{each.name} ({len(each.categories)})" for each in encoders if isinstance(each, _Categorical))
    lines = [f"table: {numeric} numeric columns, standardised by the training rows' mean and std"] if numeric else []
    lines += [f"table: one-hot, with the number of categories: {words}"] if words else []
    if missing == "indicator":
        lines += [
            "table: a missing number is the column's mean, with a column that says so; a missing word is a category"
        ]
    return tuple(lines)


def _number(text: str | None) -> float | None:
    """Return a finite number, or None for anything else."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _some(cells: Cells, is_wanted: Tensor) -> Cells:
    return [cell for cell, wanted in zip(cells, is_wanted.tolist(), strict=True) if wanted]
