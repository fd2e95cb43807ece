"""Rows of a table: numeric columns standardised, categories one-hot, a column of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.sources.columns import Columns, parse_classes, parse_missing, read_columns, row_indices
from preceptor.data.sources.table_fit import Categorical, Numeric, Policy, TableFit, number
from preceptor.data.split import Arrays
from preceptor.data.stratify import train_and_test_rows
from preceptor.documents import read_document
from preceptor.errors import UsageError
from preceptor.messages import first_few

__all__ = ["class_labels", "table"]

Cells = Sequence[str | None]
_FEW = 20  # up to so many categories or classes are never too many
_FIT_FILES = ("result.json", "config.json")  # of a run folder, of a Hub folder
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_COMMAS = re.compile(r"[+-]?\d[\d.]*(,\d+)+")
_SHARE_OF_ROWS = 0.5  # beyond that, so many per row are too many: names or measurements, not classes


def class_labels(
    cells: Cells, path: str, target: str, known: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], Tensor]:
    """Return the classes of a column, in numerical or alphabetical order, and each row's label.

    Args:
        cells: of the column.
        path: of its file, for messages.
        target: the column's name.
        known: the classes, if already known from other rows.

    Raises:
        UsageError: for a missing or unknown class, for fewer than two, and for a column of measurements.
    """
    if None in cells:
        raise UsageError(f"data.target: {path}: column {target} is empty in row {1 + cells.index(None)}")
    words = [str(cell) for cell in cells]
    distinct = set(words)
    if known is None:
        if len(distinct) > max(_FEW, _SHARE_OF_ROWS * len(words)):
            raise UsageError(
                f"data.target: column {target} of {path} has {len(distinct):,} different values in {len(words):,} rows; "
                "those are no classes"
            )
        is_numeric = all(number(word) is not None for word in distinct)
        known = tuple(sorted(distinct, key=lambda word: (number(word) or 0.0, word) if is_numeric else (0.0, word)))
        if len(known) < 2:
            raise UsageError(f"data.target: column {target} of {path} has only the class {known[0]!r}")
    places = {name: place for place, name in enumerate(known)}
    if foreign := sorted(distinct - set(known)):
        raise UsageError(
            f"data.target: {path}: class {foreign[0]!r} is not among those of the training rows: {first_few(known, 5)}"
        )
    return known, torch.tensor([places[word] for word in words])


def table(
    *,
    path: str,
    target: str | None = None,
    test: str | None = None,
    missing: str | None = None,
    ignore: str | Sequence[str] = (),
    fit: str | Mapping[str, Any] | None = None,
) -> Source:
    """Rows of a .csv, .tsv or .parquet file with a column of classes: for mlp; categories become one-hot columns.

    Args:
        path: the file; its first line names the columns.
        target: the column with the class, numbers or words; needed without fit.
        test: a file of test rows with the same columns; without it, a fifth of the rows is split off.
        missing: "refuse" missing values (the default), or "indicator": a missing number becomes the column's mean, marked in
            an extra column, and a missing category is a category.
        ignore: columns to leave out, such as row numbers.
        fit: a run folder or Hub folder: its columns, means, categories and classes are used, not this file's.
    """
    if missing not in {None, "refuse", "indicator"}:
        raise UsageError(f"data.missing: {missing!r} is neither refuse nor indicator")
    own_fit = None if fit is None else _read_fit(fit)
    target = target or (None if own_fit is None else own_fit.target)
    if target is None:
        raise UsageError("data.target: is needed without data.fit and was not given")
    train = _read(path, "data.path", target)
    test_columns = None if test is None else _read(test, "data.test", target)
    left_out = [ignore] if isinstance(ignore, str) else list(ignore)
    for key, name in (("data.target", target), *(("data.ignore", name) for name in left_out)):
        if name not in train:
            raise UsageError(f"{key}: {path} has no column {name!r}; it has {', '.join(train)}")
    class_names, labels = class_labels(train[target], path, target, None if own_fit is None else own_fit.class_names)
    train_rows, test_rows = (
        train_and_test_rows(labels) if test_columns is None else (torch.arange(len(labels)), torch.arange(0))
    )
    indices = [name for name in row_indices(path, train) if name != target and name not in left_out]
    dropped = left_out + [name for name in indices if own_fit is None or name not in own_fit.names]
    names = [name for name in train if name != target and name not in dropped]
    if own_fit is None:
        if not names:
            raise UsageError(f"data.target: {path} has no column beside {target}")
        policy: Policy = "indicator" if missing == "indicator" else "refuse"
        encoders = tuple(_encoder(name, [train[name][row] for row in train_rows.tolist()], policy) for name in names)
        used = TableFit(target, class_names, policy, encoders)
        notes = (*_encoder_notes(encoders, policy), *_dropped_notes(left_out, indices))
    else:
        used = (
            own_fit
            if missing is None
            else replace(own_fit, missing="indicator" if missing == "indicator" else "refuse")
        )
        notes = (f"table: columns as {fit if isinstance(fit, str) else 'the network'} knows them",)
    if test_columns is not None and (absent := [name for name in (*used.names, target) if name not in test_columns]):
        raise UsageError(f"data.test: {test} has no column {', '.join(map(repr, absent))}")
    columns = {name: train[name] for name in names}
    samples = Arrays(used.inputs(columns, path), labels)
    if own_fit is not None:
        notes += used.notes(columns, path)
    if test_columns is None:
        test_split = samples.take(test_rows)
    else:
        _, test_labels = class_labels(test_columns[target], str(test), target, class_names)
        test_split = Arrays(used.inputs(test_columns, str(test)), test_labels)
        others = {name: cells for name, cells in test_columns.items() if name not in dropped}
        notes += (f"table: {len(test_labels):,} test rows of {test}", *used.notes(others, str(test)))
    return Source(
        name=f"table:{path}",
        train=samples.take(train_rows),
        test=test_split,
        class_names=class_names,
        protocol="vectors",
        notes=notes,
        is_cut=test is None,
        table=used,
        ids={name: train[name] for name in dropped},
    )


def _read(path: str, key: str, target: str) -> Columns:
    """Return the columns of a file, with None for every missing value."""
    columns = read_columns(path, key)
    return {
        name: parse_classes(columns[name]) if name == target else cells
        for name, cells in parse_missing(columns).items()
    }


class _Fitted(BaseModel):
    """What is read of the record of a run, or of a Hub folder's config.json."""

    table: dict[str, Any] | None = None


def _read_fit(fit: str | Mapping[str, Any]) -> TableFit:
    """Return the table fit of a run or an exported network."""
    if not isinstance(fit, str):
        return TableFit.read(fit, "data.fit")
    file = next((file for name in _FIT_FILES if (file := Path(fit).expanduser() / name).is_file()), None)
    if file is None:
        raise UsageError(f"data.fit: {fit} is neither the folder of a finished run nor one for the Hub")
    values = read_document(file, _Fitted, where="data.fit: ", infinite=True, sealed=file.name == "result.json").table
    if values is None:
        raise UsageError(f"data.fit: {fit} was not trained on a table")
    return TableFit.read(values, f"data.fit: {file}")


def _encoder(name: str, cells: Cells, missing: str) -> Numeric | Categorical:
    known = [cell for cell in cells if cell is not None]
    if not known:
        raise UsageError(
            f"data: column {name} has no value in any training row; leave it out with data.ignore=[{name}]"
        )
    if all(number(cell) is not None for cell in known):
        values = np.array([number(cell) for cell in known], dtype=np.float64)
        has_indicator = missing == "indicator" and len(known) < len(cells)
        return Numeric(name, float(values.mean()), float(values.std()) or 1.0, has_indicator)
    _check_words(name, cells)
    categories = sorted(set(cells), key=lambda cell: (cell is None, cell or ""))
    if len(categories) > max(_FEW, _SHARE_OF_ROWS * len(cells)):
        raise UsageError(
            f"data: column {name} has {len(categories):,} different words in {len(cells):,} rows; leave it out "
            f"with data.ignore=[{name}]"
        )
    return Categorical(name, tuple(categories))


def _check_words(name: str, cells: Cells) -> None:
    """Check that a column that is not all numbers holds words.

    Raises:
        UsageError: when it holds infinite numbers among others, or numbers whose commas can be read in two ways.
    """
    known = [cell for cell in cells if cell is not None]
    for what, pattern in (("is no finite number", _INFINITE), ("has commas for decimals or thousands", _COMMAS)):
        odd = [cell for cell in known if pattern.fullmatch(cell)]
        if odd and all(number(cell) is not None or pattern.fullmatch(cell) for cell in known):
            raise UsageError(
                f"data: column {name}: {odd[0]!r} {what} ({len(odd):,} of {len(cells):,} training rows); write it as 1234.5, "
                f"leave the cell empty, or leave the column out with data.ignore=[{name}]"
            )


def _dropped_notes(left_out: Sequence[str], indices: Sequence[str]) -> tuple[str, ...]:
    lines = [f"table: left out, because data.ignore says so: {', '.join(left_out)}"] if left_out else []
    quoted = ", ".join(name or "the one without a name" for name in indices)
    lines += (
        [f"table: left out, because they number or name the rows: {quoted} (rename one to use it)"] if indices else []
    )
    return tuple(lines)


def _encoder_notes(encoders: Sequence[Numeric | Categorical], missing: str) -> tuple[str, ...]:
    numeric = [encoder.name for encoder in encoders if isinstance(encoder, Numeric)]
    words = ", ".join(f"{each.name} ({len(each.categories)})" for each in encoders if isinstance(each, Categorical))
    how = f"{len(numeric)} numeric columns, standardised by the training rows' mean and std"
    lines = [f"table: {how}: {first_few(numeric, _FEW)}"] if numeric else []
    lines += [f"table: one-hot, with the number of categories: {words}"] if words else []
    if missing == "indicator":
        lines += [
            "table: a missing number becomes the column's mean, marked in an extra column; a missing word is a category"
        ]
    return tuple(lines)
