"""The classes and labels of a data set of the `datasets` library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.data.sources.tables import class_labels
from preceptor.data.split import as_labels, count_classes
from preceptor.errors import UsageError

__all__ = ["VALIDATION_NAMES", "check_column", "labelled", "read_labels"]

VALIDATION_NAMES = ("validation", "val", "valid", "dev")


def labelled(tables: Mapping[str, Any], target: str, test: str | None) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the splits without those for testing or validation that have no labels at all, and a note on these."""
    bare = [
        name
        for name, table in tables.items()
        if name in {"test", *VALIDATION_NAMES} - {test} and len(tables) > 1 and target in table.features
        if all(_is_missing(cell) for cell in table[target])
    ]
    notes = tuple(f"hf: {name} has no labels and is skipped" for name in bare)
    return {name: table for name, table in tables.items() if name not in bare}, notes


def _is_missing(cell: object) -> bool:
    """Return whether a label is missing: null, empty, not a number, or -1, as published test splits have it."""
    return cell is None or cell == "" or (isinstance(cell, int | float) and (cell == -1 or math.isnan(cell)))


def read_labels(
    tables: Mapping[str, Any], target: str, path: str, library: ModuleType
) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Return the classes, and the labels of each split.

    Args:
        tables: by the name of their split.
        target: the column of classes: declared, words, or numbers. Numbers that start above 0 are a class each.
        path: of the data, for messages.
        library: the datasets library.

    Raises:
        UsageError: for a row without a label, and for what is no class.
    """
    cells: dict[str, list[Any]] = {}
    for name, table in tables.items():
        check_column(table, target, "data.target", f"{path}: {name}")
        cells[name] = list(table[target])
        bare = [row for row, cell in enumerate(cells[name]) if _is_missing(cell)]
        if bare:
            raise UsageError(
                f"data.target: {path}: {name}: {len(bare):,} of {len(cells[name]):,} rows have no label in column {target} "
                f"({cells[name][bare[0]]} in row {bare[0]}); leave them out with Dataset.filter"
            )
    if isinstance(cells["train"][0], str):
        names, _ = class_labels(cells["train"], f"{path}: train", target)
        return names, {name: class_labels(words, f"{path}: {name}", target, names)[1] for name, words in cells.items()}
    declared = tables["train"].features[target]
    stated = tuple(declared.names) if isinstance(declared, library.ClassLabel) else ()
    labels = {
        name: as_labels(np.asarray(values), f"hf:{path}: {name}", len(stated) or None) for name, values in cells.items()
    }
    highest = count_classes([each for each in labels.values() if each.ndim == 1], f"hf:{path}")
    found = sorted({int(label) for each in labels.values() if each.ndim == 1 for label in each.unique()})
    if not stated and found and found[0] > 0:  # numbers that count from 1, or mean something: a class each, none for 0
        places = torch.tensor([found.index(label) if label in found else 0 for label in range(found[-1] + 1)])
        return tuple(map(str, found)), {name: places[each] for name, each in labels.items()}
    return stated or tuple(str(number) for number in range(max(highest, 2))), labels


def check_column(table: Any, name: str, key: str, path: str) -> None:
    """Check that a table has a column.

    Raises:
        UsageError: when it has none of this name.
    """
    if name not in table.features:
        raise UsageError(f"{key}: {path} has no column {name!r}; it has {', '.join(table.features)}")
