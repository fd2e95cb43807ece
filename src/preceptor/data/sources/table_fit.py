"""How the columns of a table become numbers, as plain values that are saved with the network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from torch import Tensor

from preceptor.data.sources.columns import Columns, parse_missing, read_columns
from preceptor.documents import parse_document
from preceptor.errors import UsageError
from preceptor.messages import first_few

__all__ = ["Categorical", "Numeric", "Policy", "TableFit", "number", "read_rows"]

Cells = Sequence[str | None]
Values = NDArray[np.float64]
Policy = Literal["refuse", "indicator"]  # of missing values
_FEW = 5  # categories in a message


@dataclass(frozen=True, slots=True)
class Numeric:
    """Standardised by the training rows' mean and standard deviation; a missing value becomes the mean."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    mean: Annotated[float, Field(allow_inf_nan=False)]
    std: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    has_indicator: bool

    def __call__(self, cells: Cells, path: str) -> Values:
        """Return the values [rows, 1], followed by 1 for each missing one if there is an indicator."""
        numbers = [self.mean if cell is None else number(cell) for cell in cells]
        if None in numbers:
            row = numbers.index(None)
            raise UsageError(f"data: {path}: {cells[row]!r} in row {1 + row} of column {self.name} is no number")
        values = (np.array(numbers, dtype=np.float64)[:, None] - self.mean) / self.std
        is_missing = np.array([cell is None for cell in cells], dtype=np.float64)[:, None]
        return np.hstack([values, is_missing]) if self.has_indicator else values

    def decode(self, values: Values) -> NDArray[Any]:
        """Return the column in its own units, NaN where it was missing; whole numbers as such."""
        numbers = values[:, 0] * self.std + self.mean
        rounding = 1e-6 * (np.abs(numbers) + abs(self.mean) + self.std)  # of inputs, which are float32
        numbers = np.where(np.abs(numbers - np.round(numbers)) < rounding, np.round(numbers), numbers)
        return np.where(values[:, 1] > 0.5, np.nan, numbers) if self.has_indicator else numbers

    @property
    def width(self) -> int:
        """How many inputs it becomes."""
        return 2 if self.has_indicator else 1

    def in_words(self) -> str:
        """Describe how the column becomes numbers."""
        indicator = " and an indicator" if self.has_indicator else ""
        return f"numbers with mean {self.mean:.6g} and std {self.std:.6g}{indicator}"


@dataclass(frozen=True, slots=True)
class Categorical:
    """One-hot by the categories of the training rows; an unknown category is all zeros."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    categories: tuple[str | None, ...]

    def __call__(self, cells: Cells, path: str) -> Values:
        """Return one-hot rows [rows, categories]."""
        return np.array([[cell == category for category in self.categories] for cell in cells], dtype=np.float64)

    def decode(self, values: Values) -> NDArray[Any]:
        """Return the category of each row, None where there is none."""
        names = np.array([*self.categories, None], dtype=object)
        found: NDArray[Any] = names[np.where(values.max(1) > 0.5, values.argmax(1), len(self.categories))]
        return found

    @property
    def width(self) -> int:
        """How many inputs it becomes."""
        return len(self.categories)

    def in_words(self) -> str:
        """Describe how the column becomes numbers."""
        return f"{len(self.categories)} categories ({first_few(self.categories, _FEW)})"


@dataclass(frozen=True, slots=True)
class TableFit:
    """What turns the columns of a table into a network's inputs: fitted on training rows and saved with the network.

    Attributes:
        target: the column of classes.
        class_names: one per class, in order.
        missing: "refuse" or "indicator", as for `table`.
        encoders: one per column, in the order of the inputs.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    target: str
    class_names: Annotated[tuple[str, ...], Field(min_length=2)]
    missing: Policy
    encoders: tuple[Numeric | Categorical, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order of the inputs."""
        return tuple(encoder.name for encoder in self.encoders)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: each column with its mean and standard deviation, or its categories."""
        return asdict(self)

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str) -> TableFit:
        """Return the fit that `as_dict` wrote.

        Args:
            values: plain values.
            where: the values come from, for messages.

        Raises:
            UsageError: when they are anything else.
        """
        return parse_document(json.dumps(dict(values)), cls, f"{where}: the description of the table's columns")

    def inputs(self, columns: Columns, path: str) -> Float[Tensor, "rows inputs"]:
        """Return the inputs of a table's rows.

        Args:
            columns: of the table, in any order, perhaps with others; None for a missing value.
            path: of its file, for messages.

        Raises:
            UsageError: when a column is missing or of another kind, or has missing values that are refused.
        """
        if absent := [name for name in self.names if name not in columns]:
            raise UsageError(f"data: {path} has no column {', '.join(map(repr, absent))}; the network needs it")
        return _encoded(self.encoders, columns, path, self.missing)

    def columns(self, inputs: Float[Tensor, "rows inputs"]) -> dict[str, NDArray[Any]]:
        """Return the columns that became these inputs: numbers in their own units, words as objects."""
        parts = np.split(inputs.double().numpy(), np.cumsum([each.width for each in self.encoders])[:-1], axis=1)
        return {each.name: each.decode(part) for each, part in zip(self.encoders, parts, strict=True)}

    def notes(self, columns: Columns, path: str) -> tuple[str, ...]:
        """Return what the user should hear about a table that was not fitted: columns and categories that are new.

        Raises:
            UsageError: when there are several rows and none has a known category.
        """
        known = {self.target, *self.names}
        unused = [name for name in columns if name not in known]
        lines = [f"table: {path}: not used: {', '.join(unused)}"] if unused else []
        for encoder in self.encoders:
            if isinstance(encoder, Categorical):
                cells, known_ones = columns[encoder.name], set(encoder.categories)
                foreign = [cell for cell in cells if cell not in known_ones]
                new = first_few([repr(cell) for cell in sorted({str(cell) for cell in foreign})], _FEW)
                if len(foreign) == len(cells) > 1:
                    expected = first_few([repr(category) for category in encoder.categories], _FEW)
                    raise UsageError(
                        f"data: {path}: column {encoder.name} has none of the categories {expected} that the network knows, "
                        f"but {new}"
                    )
                if foreign:
                    lines.append(
                        f"table: {path}: {len(foreign):,} of {len(cells):,} rows have a category of column {encoder.name} "
                        f"that no training row has, and count as none: {new}"
                    )
        return tuple(lines)

    def differs(self, other: TableFit) -> str | None:
        """Describe the first difference that turns the same row into other inputs; None: there is none."""
        if one_sided := sorted(set(self.names) ^ set(other.names)):
            return f"column {one_sided[0]} is {'there' if one_sided[0] in self.names else 'here'} only"
        for own, its in zip(self.encoders, other.encoders, strict=True):
            if own != its:
                return f"column {own.name} is {own.in_words()} there, column {its.name} is {its.in_words()} here"
        return None


def read_rows(path: str, fit: TableFit, key: str) -> tuple[Float[Tensor, "rows inputs"], tuple[str, ...]]:
    """Return the inputs of a file's rows, which need no column of classes, and notes for the user.

    Args:
        path: of the file, as for `read_columns`.
        fit: how columns become numbers.
        key: how messages begin.

    Raises:
        UsageError: when the file cannot be read, or as for `TableFit.inputs`.
    """
    columns = parse_missing(read_columns(path, key))
    return fit.inputs(columns, path), fit.notes(columns, path)


def _encoded(encoders: Sequence[Numeric | Categorical], columns: Columns, path: str, missing: str) -> Tensor:
    for encoder in encoders if missing == "refuse" else ():
        cells = columns[encoder.name]
        if None in cells:
            count = sum(cell is None for cell in cells)
            raise UsageError(
                f"data: {path}: column {encoder.name} has {count:,} missing values, the first in row "
                f"{1 + cells.index(None)}; data.missing=indicator keeps them, "
                f"data.ignore=[{encoder.name}] leaves the column out"
            )
    return torch.from_numpy(np.hstack([encoder(columns[encoder.name], path) for encoder in encoders])).float()


def number(text: str | None) -> float | None:
    """Return a finite number, or None for anything else."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
