"""Whether a trained network fits some data: the classes, the task, the columns of a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from preceptor.artifacts.run_folder import RunFolder
from preceptor.data import Data, TableFit
from preceptor.data.dataset import fingerprint
from preceptor.errors import UsageError
from preceptor.messages import first_few
from preceptor.models import ModelMetadata
from preceptor.types import ClassSelection, Preprocessing, Task

__all__ = [
    "TrainingDataInfo",
    "check_compatibility",
    "check_number",
    "check_test",
    "match_classes",
    "place_of",
    "selection_ways",
]


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


def check_compatibility(
    who: str, learned: TrainingDataInfo, data: Data, classes: ClassSelection = None, key: str = "teacher.classes"
) -> tuple[int, ...] | None:
    """Check that a network's outputs and inputs mean the same as the data's classes and columns.

    Args:
        who: the network, for the message.
        learned: what it knows of its training data.
        data: that it will run on.
        classes: how its outputs are selected, where it has more classes.
        key: of `classes`, for messages; empty: there is none.

    Returns:
        What `match_classes` returns.

    Raises:
        UsageError: when the classes differ, exclude each other on one side only, or a table's columns become other numbers.
    """
    _check_task(who, learned.task, data)
    order = match_classes(who, learned.class_names, data, classes, key)
    difference = None if learned.table is None or data.table is None else learned.table.differs(data.table)
    if difference is not None:
        raise UsageError(
            f"{who} reads a table otherwise than data {data.name}: {difference}; data.fit=FOLDER of its run prepares this "
            "file as there"
        )
    return order


def check_test(verb: str, folder: RunFolder, data: Data) -> None:
    """Check that the test split of data that a run names is still the one that the run was measured on.

    Args:
        verb: that reads it, for the message.
        folder: of the finished run.
        data: read now, as the run names them.

    Raises:
        UsageError: when it is another one.
    """
    before, now = folder.read_record().test_fingerprint, fingerprint(data.test)
    if now != before:
        raise UsageError(
            f"{verb}: the test split of {data.name} is not the one that run {folder.path} was measured on (fingerprint {before}, "
            f"now {now}); restore it, or evaluate with data={data.name} named, which is not compared"
        )


def match_classes(
    who: str,
    names: tuple[str, ...],
    data: Data,
    classes: ClassSelection = None,
    key: str = "teacher.classes",
) -> tuple[int, ...] | None:
    """Return the number of a network's output for each class of the data; None: they are the same, in the same order.

    Where either side calls its classes 0, 1, 2, ..., or by WordNet's numbers (n01440764), they have no names, and are only
    counted. Upper and lower case, spaces, hyphens and underscores make no difference.

    Args:
        who: the network, for messages.
        names: of its outputs.
        data: that it will run on.
        classes: "match": select outputs by name; numbers: these outputs; None: only another order is allowed.
        key: of `classes`, for messages; empty: there is none.

    Raises:
        UsageError: when the classes differ.
    """
    here = data.class_names
    if isinstance(classes, tuple):
        return _by_number(who, len(names), data, classes, key)
    is_named = (_are_names(names) and _are_names(here)) or sorted(names) == sorted(here)
    if not is_named and classes == "match" and key:
        side = f"data {data.name} have" if _are_names(names) else f"{who} has"
        raise UsageError(f"{key}: match needs names, and {side} no class names; {key}=[N, ...], each class's output")
    if not is_named:
        check_number(
            who, len(names), data, f" ({key}=[N, ...] selects by number)" if key and len(names) > len(here) else ""
        )
        return None
    places = _places(names, here)
    if len(names) != len(here) and (classes is None or len(names) < len(here)):
        can_select = bool(key) and len(names) > len(here)
        ways = selection_ways(key) if can_select else ""
        more = "; ".join(words for words in (_one_sided(names, here), ways) if words)
        check_number(who, len(names), data, f" ({more})" if more else "")
    for name, found in zip(here, places, strict=True):
        if len(found) > 1:
            raise UsageError(
                f"{who}: {name} is the name of its outputs {first_few(found)}{_say_numbers(key, len(here))}"
            )
    if not all(places):
        is_as_many = len(names) == len(here)
        number = next(k for k, found in enumerate(places) if (found != [k] if is_as_many else not found))
        there = f"is {names[number]!r} there and {here[number]!r} here" if is_as_many else "is missing there"
        raise UsageError(
            f"{who} has other classes than data {data.name}: class {number} {there} ({_one_sided(names, here)}); "
            f"call them as there, where they mean the same{_say_numbers(key, len(here))}"
        )
    order = tuple(found[0] for found in places)
    return None if order == tuple(range(len(names))) else order


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


def selection_ways(key: str) -> str:
    """Return how outputs are selected for the data's classes."""
    return f"{key}=match selects by name, {key}=[N, ...] by number"


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


def _by_number(who: str, num_outputs: int, data: Data, numbers: tuple[int, ...], key: str) -> tuple[int, ...] | None:
    if len(numbers) != data.num_classes or len(set(numbers)) != len(numbers):
        raise UsageError(
            f"{key}: {len(set(numbers))} different outputs for the {data.num_classes} classes of data {data.name}: "
            f"{first_few(data.class_names)}; one for each, in this order"
        )
    wrong = [number for number in numbers if not 0 <= number < num_outputs]
    if wrong:
        raise UsageError(f"{key}: {who} has no output {wrong[0]}; they are numbered from 0 to {num_outputs - 1}")
    return None if numbers == tuple(range(num_outputs)) else numbers


def _places(there: tuple[str, ...], here: tuple[str, ...]) -> list[list[int]]:
    """Return, for each name here, the numbers of the equal names there; spelling is exact where that tells them apart."""
    spelled = (there, here)
    if set(here) - set(there):
        folded = (tuple(map(_fold, there)), tuple(map(_fold, here)))
        if len(set(folded[1])) == len(here) and len(set(folded[0])) == len(set(there)):
            spelled = folded
    return [[number for number, name in enumerate(spelled[0]) if name == wanted] for wanted in spelled[1]]


def _say_numbers(key: str, num_classes: int) -> str:
    numbers = [*map(str, range(min(num_classes, 3))), *(("...",) if num_classes > 3 else ())]
    return f"; {key}=[{', '.join(numbers)}] says which of its outputs is each class" if key else ""


def _fold(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.strip().casefold())


def _read_table(values: Mapping[str, Any] | None, where: str) -> TableFit | None:
    return None if values is None else TableFit.read(values, where)


def _are_names(names: tuple[str, ...]) -> bool:
    is_code = all(re.fullmatch(r"n\d{8}", name) for name in names)
    return not is_code and names != tuple(map(str, range(len(names))))


def _one_sided(there: tuple[str, ...], here: tuple[str, ...]) -> str:
    sides = {
        "there": [name for name, found in zip(there, _places(here, there), strict=True) if not found],
        "here": [name for name, found in zip(here, _places(there, here), strict=True) if not found],
    }
    return "; ".join(f"only {side}: {first_few(names)}" for side, names in sides.items() if names)


def _empty_first_class(data: Data) -> str:
    """Return a hint where the first class has no sample: labels were then counted from 1."""
    labels = [split.labels for split in (data.train, data.validation, data.test) if split.labels.ndim == 1]
    if not labels or not data.train.has_rows or bool((torch.cat(labels) == 0).any()):
        return ""
    return f", and none of its samples is of class {data.class_names[0]}: labels count from 0"
