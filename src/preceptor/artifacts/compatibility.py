"""Whether a trained network and some data go together: their classes, their task, the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from preceptor.artifacts.run_folder import RunFolder
from preceptor.data import Data, TableFit
from preceptor.errors import UsageError
from preceptor.models import ModelMetadata
from preceptor.types import Preprocessing, Task

__all__ = ["TrainingDataInfo", "check_compatibility", "check_number", "place_of"]

_SHOWN = 3  # classes in a message


@dataclass(frozen=True, slots=True)
class TrainingDataInfo:
    """What a trained network knows of the data that it was trained on.

    Attributes:
        class_names: one an output, in order.
        task: whether classes exclude each other.
        table: of a table: how its columns became numbers.
        source: `source_fingerprint` of those data.
        place: where they lie, as `place_of` says it.
        preprocessing: how their samples became what it sees.
    """

    class_names: tuple[str, ...]
    task: Task
    table: TableFit | None
    source: str | None
    place: str | None
    preprocessing: Preprocessing

    @classmethod
    def from_run(cls, folder: RunFolder) -> TrainingDataInfo:
        """Return what a finished run knows.

        Raises:
            UsageError: when there is none, or it is damaged.
        """
        record, place = folder.read_record(), place_of(folder.read_config()["data"])
        table = _read_table(record.table, str(folder.path))
        return cls(record.class_names, record.task, table, record.source_fingerprint, place, record.preprocessing)

    @classmethod
    def from_metadata(cls, metadata: ModelMetadata, path: Path) -> TrainingDataInfo:
        """Return what an exported file tells."""
        table = _read_table(metadata.table, str(path))
        return cls(
            metadata.class_names, metadata.task, table, metadata.source_fingerprint, None, metadata.preprocessing
        )


def check_compatibility(who: str, learned: TrainingDataInfo, data: Data) -> None:
    """Check that a network's outputs and inputs mean what the data's classes and columns mean.

    Classes that are called 0, 1, 2, ... on one side are taken as classes without names, and only counted.

    Args:
        who: the network, for the message.
        learned: what it knows.
        data: that it shall be used with.

    Raises:
        UsageError: when the classes are others, or the same in another order, classes exclude each other on one side only,
            or a table's columns become other numbers.
    """
    _check_task(who, learned.task, data)
    _check_names(who, learned.class_names, data)
    if learned.table is None or data.table is None:
        return
    difference = learned.table.differs(data.table)
    if difference is not None:
        raise UsageError(
            f"{who} reads a table otherwise than data {data.name}: {difference}; data.fit=FOLDER of its run prepares this "
            "file as there"
        )


def check_number(who: str, num_classes: int, data: Data, more: str = "") -> None:
    """Check that a network has as many classes as the data.

    Args:
        who: the network, for the message.
        num_classes: of its outputs.
        data: that it shall be used with.
        more: what else is known of the difference.

    Raises:
        UsageError: when it has not.
    """
    if num_classes != data.num_classes:
        raise UsageError(
            f"{who} has {num_classes} classes, data {data.name} has {data.num_classes}{more}{_unseen_first(data)}"
        )


def place_of(section: Mapping[str, Any]) -> str:
    """Return where the data of a section lie, the same for every way to write it."""
    kind, _, short = str(section["name"]).partition(":")
    path = short or section.get("path")
    return kind if path is None else f"{kind}:{Path(str(path)).expanduser().resolve()}"


def _check_task(who: str, task: Task, data: Data) -> None:
    is_multilabel = task == "multilabel"
    if is_multilabel != (data.task == "multilabel"):
        kinds = ("multi-label", "one class a sample") if is_multilabel else ("one class a sample", "multi-label")
        raise UsageError(f"{who} is of {kinds[0]} data, and data {data.name} is {kinds[1]}")


def _check_names(who: str, names: tuple[str, ...], data: Data) -> None:
    if names == data.class_names:
        return
    are_named = not (_are_numbers(names) or _are_numbers(data.class_names))
    if len(names) != data.num_classes:
        one_sided = _one_sided(names, data.class_names) if are_named else ""
        check_number(who, len(names), data, f" ({one_sided})" if one_sided else "")
    number, own, other = next(
        (number, *pair) for number, pair in enumerate(zip(names, data.class_names, strict=True)) if pair[0] != pair[1]
    )
    first = f"class {number} is {own!r} there and {other!r} here"
    if sorted(names) == sorted(data.class_names):
        raise UsageError(
            f"{who} has the classes of data {data.name} in another order: {first}; declare them in this order: {_few(names)}"
        )
    if are_named:
        raise UsageError(
            f"{who} has other classes than data {data.name}: {first} ({_one_sided(names, data.class_names)}); "
            "call them as there, where they mean the same"
        )


def _read_table(values: Mapping[str, Any] | None, where: str) -> TableFit | None:
    return None if values is None else TableFit.read(values, where)


def _are_numbers(names: tuple[str, ...]) -> bool:
    return names == tuple(map(str, range(len(names))))


def _one_sided(there: tuple[str, ...], here: tuple[str, ...]) -> str:
    sides = {
        "there": [name for name in there if name not in here],
        "here": [name for name in here if name not in there],
    }
    return "; ".join(f"only {side}: {_few(names)}" for side, names in sides.items() if names)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)


def _unseen_first(data: Data) -> str:
    """Say so where the first class has no sample: then labels were counted from 1."""
    labels = [part.labels for part in (data.train, data.validation, data.test) if part.labels.ndim == 1]
    if not labels or not data.train.has_rows or bool((torch.cat(labels) == 0).any()):
        return ""
    return f", and none of its samples is of class {data.class_names[0]}: labels count from 0"
