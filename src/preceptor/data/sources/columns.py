"""Columns of a .csv, .tsv or .parquet file, as text."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from preceptor.documents import parse_document
from preceptor.errors import UsageError
from preceptor.extras import import_extra

__all__ = ["Columns", "is_row_index", "parse_classes", "parse_missing", "read_columns", "row_indices"]

Columns = Mapping[str, Sequence[str | None]]
_FREE_CELLS, _CELLS_PER_BYTE = 10_000_000, 10  # of a parquet file, in which a column of one value takes no space
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "#n/a", "#na", "<na>", "nat"}
_NEVER_CLASSES = {"", "nan", "?", "#n/a", "#na", "<na>", "nat"}  # of those, among classes that are words
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+(e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
_INDEX_OF_PANDAS = re.compile(r"|unnamed: \d+(\.\d+)*|level_\d+", re.IGNORECASE)
_STORED_INDEX = re.compile(r"__index_level_\d+__")
_COUNTERS = {"id", "idx", "index", "row", "row_id", "row_names", "rowid", "rownames"}


def read_columns(path: str, key: str, *, quoted: bool = True) -> Columns:
    """Return the columns of a table by name, cells stripped of surrounding spaces; None for a null in parquet.

    Args:
        path: a file with a header. pyarrow reads .parquet; .tsv is separated by tabs, anything else by commas, or by
            semicolons if the header has more of them.
        key: of the configuration, for messages.
        quoted: whether quotation marks around text are removed; else they are ordinary characters.

    Raises:
        UsageError: for a file that cannot be read or has no rows, for two columns of one name, or a row of another length.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UsageError(f"{key}: {file}: no such file")
    columns = (
        _parquet(file, key) if file.suffix.lower() in {".parquet", ".pq"} else _separated(file, key, quoted=quoted)
    )
    if not columns or not len(next(iter(columns.values()))):
        raise UsageError(f"{key}: {file}: has no rows")
    return columns


def _separated(file: Path, key: str, *, quoted: bool) -> Columns:
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            header = opened.readline()
            separator = "\t" if file.suffix.lower() == ".tsv" else ";" if header.count(";") > header.count(",") else ","
            opened.seek(0)
            reader = csv.reader(opened, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
            names = [name.strip() for name in next(reader, [])]
            rows = []
            for row in reader:
                if row and len(row) != len(names):
                    raise UsageError(
                        f"{key}: {file}: line {reader.line_num} has {len(row)} values, the header {len(names)} names"
                    )
                rows += [row] if row else []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{key}: {file}: cannot be read ({' '.join(str(error).split())})") from error
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise UsageError(f"{key}: {file}: has two columns named {twice[0]!r}")
    return {
        name: _with_points([row[place].strip() for row in rows], is_certain=separator == ";")
        for place, name in enumerate(names)
    }


def _with_points(cells: list[str], *, is_certain: bool) -> list[str]:
    """Return a column of numbers with decimal commas with points; any other as it is.

    Args:
        cells: of the column.
        is_certain: whether 1,234 has a decimal comma. Otherwise a column of nothing else keeps it, because it may be 1234.
    """
    known = [cell for cell in cells if cell.lower() not in _MISSING]
    with_comma = [cell for cell in known if "," in cell]
    if not with_comma or not all(_DECIMAL_COMMA.fullmatch(cell) or _WHOLE.fullmatch(cell) for cell in known):
        return cells
    if not is_certain and all(_THOUSANDS.fullmatch(cell) for cell in with_comma):
        return cells
    return [cell.replace(".", "").replace(",", ".") if "," in cell else cell for cell in cells]


def _parquet(file: Path, key: str) -> Columns:
    pyarrow = import_extra("pyarrow", "tables", needed_by=f"{key}: {file}")
    parquet = import_extra("pyarrow.parquet", "tables", needed_by=f"{key}: {file}")
    try:
        described = parquet.read_metadata(file)
        cells, most = described.num_rows * described.num_columns, _FREE_CELLS + _CELLS_PER_BYTE * file.stat().st_size
        if cells > most:
            raise UsageError(f"{key}: {file}: states {cells:,} cells, and at most {most:,} are read from so few bytes")
        content = parquet.read_table(file).to_pydict()
    except (OSError, OverflowError, MemoryError, pyarrow.ArrowException) as error:
        raise UsageError(f"{key}: {file}: cannot be read ({' '.join(str(error).split())})") from error
    return {
        name: [None if value is None else str(value).strip() for value in values] for name, values in content.items()
    }


def parse_missing(columns: Columns) -> Columns:
    """Return columns with None for every missing value: an empty cell, NA, N/A, NaN, null, None or ?."""
    return {
        name: [None if cell is None or cell.lower() in _MISSING else cell for cell in cells]
        for name, cells in columns.items()
    }


def parse_classes(cells: Sequence[str | None]) -> list[str | None]:
    """Return a column of classes with None for a missing one; among words, None, null and NA are classes, too."""
    known = [cell for cell in cells if cell is not None and cell.lower() not in _MISSING]
    missing = _MISSING if all(_is_number(cell) for cell in known) else _NEVER_CLASSES
    return [None if cell is None or cell.lower() in missing else cell for cell in cells]


def row_indices(path: str, columns: Columns) -> list[str]:
    """Return the columns that number the rows of a file, or name them: an index that pandas wrote, a counter."""
    file = Path(path).expanduser()
    stored = _indices_of_pandas(file) if file.suffix.lower() in {".parquet", ".pq"} else []
    return [name for name, cells in columns.items() if name in stored or is_row_index(name, cells)]


def is_row_index(name: str, cells: Sequence[str | None]) -> bool:
    """Return whether a column numbers or names the rows, judged by its name and its cells."""
    if _STORED_INDEX.fullmatch(name):
        return True
    if _INDEX_OF_PANDAS.fullmatch(name):
        measures = any(cell is None or (_is_number(cell) and not _WHOLE.fullmatch(cell)) for cell in cells)
        return not measures and 2 * len(set(cells)) > len(cells)
    if name.lower() not in _COUNTERS or not all(cell is not None and _WHOLE.fullmatch(cell) for cell in cells):
        return False
    numbers = [int(float(cell or 0)) for cell in cells]
    return numbers[0] in {0, 1} and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


class _Pandas(BaseModel):
    """What pandas writes of its index into a parquet file."""

    index_columns: list[Any] = []


def _indices_of_pandas(file: Path) -> list[str]:
    """Return the columns of a parquet file that pandas wrote as an index."""
    parquet = import_extra("pyarrow.parquet", "tables", needed_by=str(file))
    stored = (parquet.read_schema(file).metadata or {}).get(b"pandas", b"{}").decode(errors="replace")
    columns = parse_document(stored, _Pandas, f"{file}: what pandas wrote into it", infinite=True).index_columns
    return [name for name in columns if isinstance(name, str)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
