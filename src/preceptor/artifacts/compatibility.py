"""Whether a trained network fits some data: the classes, the task, the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from preceptor.artifacts.run_folder import RunFolder
from preceptor.data import Data, TableFit
from preceptor.errors import UsageError
from preceptor.messages import first_few
from preceptor.models import ModelMetadata
from preceptor.types import Preprocessing, Task

__all__ = ["TrainingDataInfo", "check_compatibility", "check_number", "place_of"]


@dataclass(frozen=True, slots=True)
class TrainingDataInfo:
    """What a trained network knows of the data that it was trained on.

    Attributes:
        class_names: one per output, in order.
        task: whether classes exclude each other.
        table: of a table: how its columns became numbers.
        source: `source_fingerprint` of the data.
        place: of the data, as `place_of` returns it.
        preprocessing: of their samples.
    """

    class_names: tuple[str, ...]
    task: Task
    table: TableFit | None
    source: str | None
    place: str | None
    preprocessing: Preprocessing

    @classmethod
    def from_run(cls, folder: RunFolder) -> TrainingDataInfo:
        """Return what a finished run says.

        Raises:
            UsageError: when there is none, or it is damaged.
        """
        record, place = folder.read_record(), place_of(folder.read_config()["data"])
        table = _read_table(record.table, str(folder.path))
        return cls(record.class_names, record.task, table, record.source_fingerprint, place, record.preprocessing)

    @classmethod
    def from_metadata(cls, metadata: ModelMetadata, where: str) -> TrainingDataInfo:
        """Return what a network's metadata say; `where` they come from is for messages."""
        table, source = _read_table(metadata.table, where), metadata.source_fingerprint
        return cls(metadata.class_names, metadata.task, table, source, None, metadata.preprocessing)


def check_compatibility(who: str, learned: TrainingDataInfo, data: Data) -> None:
    """Check that a network's outputs and inputs mean the same as the data's classes and columns.

    Where either side calls its classes 0, 1, 2, ..., they have no names, and are only counted.

    Args:
        who: the network, for the message.
        learned: what it knows of its training data.
        data: that it will run on.

    Raises:
        UsageError: when the classes or their order differ, classes exclude each other on one side only, or a table's columns
            become other numbers.
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
        data: that it will run on.
        more: what else is known of the difference.

    Raises:
        UsageError: when the numbers differ.
    """
    if num_classes != data.num_classes:
        raise UsageError(
            f"{who} has {num_classes} classes, data {data.name} has {data.num_classes}{more}{_empty_first_class(data)}"
        )


def place_of(section: Mapping[str, Any]) -> str:
    """Return where the data of a section are stored, the same for every spelling of it."""
    kind, _, short = str(section["name"]).partition(":")
    path = short or section.get("path")
    return kind if path is None else f"{kind}:{Path(str(path)).expanduser().resolve()}"


def _check_task(who: str, task: Task, data: Data) -> None:
    is_multilabel = task == "multilabel"
    if is_multilabel != (data.task == "multilabel"):
        kinds = ("multi-label", "one class per sample") if is_multilabel else ("one class per sample", "multi-label")
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
            f"{who} has the classes of data {data.name} in another order: {first}; declare them in this order: {first_few(names)}"
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
    return "; ".join(f"only {side}: {first_few(names)}" for side, names in sides.items() if names)


def _empty_first_class(data: Data) -> str:
    """Return a hint where the first class has no sample: labels were then counted from 1."""
    labels = [split.labels for split in (data.train, data.validation, data.test) if split.labels.ndim == 1]
    if not labels or not data.train.has_rows or bool((torch.cat(labels) == 0).any()):
        return ""
    return f", and none of its samples is of class {data.class_names[0]}: labels count from 0"
