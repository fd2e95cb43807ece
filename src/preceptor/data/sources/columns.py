"""Columns of a .csv, .tsv or .parquet file, as text."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from preceptor.errors import UsageError
from preceptor.extras import import_extra

__all__ = ["Columns", "parse_missing", "read_columns"]

Columns = Mapping[str, Sequence[str | None]]
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


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
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{key}: {file}: has two columns named {twice[0]!r}")
    return {name: [row[place].strip() for row in rows] for place, name in enumerate(names)}


def _parquet(file: Path, key: str) -> Columns:
    pyarrow = import_extra("pyarrow", "tables", needed_by=f"{key}: {file}")
    parquet = import_extra("pyarrow.parquet", "tables", needed_by=f"{key}: {file}")
    try:
        content = parquet.read_table(file).to_pydict()
    except (OSError, pyarrow.ArrowException) as error:
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
