"""Predictions that exist already: a table of them in a .npy, .npz, .csv, .tsv or .parquet file, or an array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from preceptor.checksums import sha256_of, sha256_of_file
from preceptor.data import read_columns
from preceptor.data.sources.npz_files import NPZ_DAMAGE, read_npz
from preceptor.data.sources.table_fit import number
from preceptor.errors import UsageError
from preceptor.messages import did_you_mean, first_few, first_line
from preceptor.reading import check_regular

__all__ = ["Kind", "Predictions", "from_array", "read_predictions"]

Kind = Literal["logits", "probabilities"]
_KEY = "predictions"
_ARRAYS: tuple[Kind, Kind] = ("logits", "probabilities")  # that an .npz file may hold, and that say what they are
_TABLES = {".csv", ".tsv", ".parquet", ".pq"}


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions as somebody stored them.

    Attributes:
        name: of the file, or what stands for it, for messages.
        values: [rows, columns], float64.
        columns: what the columns are called; empty: they have no names.
        ids: which sample each row belongs to; None: rows are in the order of the samples.
        kind: what they are, where the file says so.
        sha256: of the file, or of the array.
        first_row: the number of the first row, as messages count them.
    """

    name: str
    values: NDArray[np.float64]
    columns: tuple[str, ...]
    ids: tuple[str, ...] | None
    kind: Kind | None
    sha256: str
    first_row: int = 0

    def row(self, place: int) -> str:
        """Return what messages call a row."""
        number = f"row {self.first_row + place}"
        return number if self.ids is None else f"{number} (id {self.ids[place]})"


def from_array(values: Any) -> Predictions:
    """Return predictions that were passed from Python: an array or a tensor [samples, classes].

    Raises:
        UsageError: for anything else.
    """
    array = values.detach().cpu().float().numpy() if isinstance(values, Tensor) else np.asarray(values)
    digest = sha256_of(np.ascontiguousarray(array).tobytes()) if array.dtype != object else ""
    return Predictions("the array", _numbers(array, "the array"), (), None, None, digest)


def read_predictions(path: Path, id_column: str | None = None) -> Predictions:
    """Return the predictions in a file.

    Args:
        path: .npy: an array [samples, classes]; .npz: one array, called logits or probabilities or alone but for the ids; or a
            table with a column per class.
        id_column: of a table, the column (of an .npz file, the array) that says which sample each row belongs to.

    Raises:
        UsageError: when it is missing, damaged or of another kind, or has no such column.
    """
    if path.suffix.lower() in _TABLES:
        return _from_table(path, id_column)
    if path.suffix.lower() not in {".npy", ".npz"}:
        raise UsageError(f"{_KEY}: {path}: is no .npy, .npz, .csv, .tsv or .parquet file")
    check_regular(path, f"{_KEY}: ")
    ids, kind = None, None
    if path.suffix.lower() == ".npy":
        if id_column is not None:
            raise UsageError(f"{_KEY}.id: {id_column} is a column, and {path} is one array; an .npz file can hold both")
        array = _read_npy(path)
    else:
        arrays = read_npz(path, _KEY)
        if id_column is not None:
            if id_column not in arrays:
                raise UsageError(f"{_KEY}.id: {path} has no array {id_column!r}{did_you_mean(id_column, arrays)}")
            ids = _as_ids(arrays.pop(id_column), path, id_column)
        named = [name for name in _ARRAYS if name in arrays]
        if len(named) != 1 and len(arrays) != 1:
            raise UsageError(
                f"{_KEY}: {path} holds {first_few(list(arrays)) or 'nothing'}; one array called logits or probabilities is read"
            )
        kind = named[0] if named else None
        array = arrays[named[0]] if named else next(iter(arrays.values()))
    values = _numbers(array, str(path))
    _check_ids(ids, len(values), path)
    return Predictions(str(path), values, (), ids, kind, sha256_of_file(path))


def _from_table(path: Path, id_column: str | None) -> Predictions:
    columns = dict(read_columns(str(path), _KEY))
    ids = None
    if id_column is not None:
        if id_column not in columns:
            raise UsageError(f"{_KEY}.id: {path} has no column {id_column!r}{did_you_mean(id_column, columns)}")
        cells = columns.pop(id_column)
        if None in cells or "" in cells:
            place = next(number for number, cell in enumerate(cells) if not cell)
            raise UsageError(f"{_KEY}: {path}: row {1 + place} has no id in column {id_column}")
        ids = tuple(map(str, cells))
    numbers = [_column(path, name, cells) for name, cells in columns.items()]
    if not numbers:
        raise UsageError(f"{_KEY}: {path} has no column beside {id_column}")
    return Predictions(
        str(path), np.array(numbers, dtype=np.float64).T, tuple(columns), ids, None, sha256_of_file(path), first_row=1
    )


def _column(path: Path, name: str, cells: Sequence[str | None]) -> list[float | None]:
    numbers = [number(cell) for cell in cells]
    if None in numbers:
        row = numbers.index(None)
        hint = f"; {_KEY}.id={name} if it names the samples"
        raise UsageError(
            f"{_KEY}: {path}: {cells[row] or ''!r} in row {1 + row} of column {name} is no finite number{hint}"
        )
    return numbers


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except NPZ_DAMAGE as error:
        raise UsageError(f"{_KEY}: {path}: cannot be read ({first_line(error)})") from error
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{_KEY}: {path}: is an .npz file by its content; call it so")
    return array


def _numbers(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    if array.ndim == 1 and array.dtype.kind == "f":
        array = array[:, None]
    if array.ndim != 2 or array.dtype.kind != "f" or 0 in array.shape:
        raise UsageError(
            f"{_KEY}: {name} holds {array.dtype} {array.shape}, expected floating-point numbers [samples, classes]"
        )
    return array.astype(np.float64)


def _as_ids(array: NDArray[Any], path: Path, id_column: str) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "iuUS":
        raise UsageError(
            f"{_KEY}.id: {id_column} of {path} holds {array.dtype} {array.shape}, expected one whole number or text per row"
        )
    return tuple(os.fsdecode(each) if isinstance(each, bytes) else str(each) for each in array.tolist())


def _check_ids(ids: Sequence[str] | None, rows: int, path: Path) -> None:
    if ids is not None and len(ids) != rows:
        raise UsageError(f"{_KEY}.id: {path} has {len(ids):,} ids and {rows:,} rows")
