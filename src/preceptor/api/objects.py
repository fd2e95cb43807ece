"""Arguments of the verbs (names, sections or objects) as sections of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils.data import Dataset

from preceptor.artifacts.black_boxes import as_teacher
from preceptor.artifacts.identify import PYTHON
from preceptor.config.sections import DataSection, TeacherSection
from preceptor.data import Data, Pair, from_objects
from preceptor.errors import UsageError
from preceptor.models import Classifier
from preceptor.runner.data import load_data
from preceptor.runner.result import Result
from preceptor.signature import explain

__all__ = [
    "AnyData",
    "AnyTeacher",
    "Settings",
    "data_section",
    "is_section",
    "loaded",
    "module_beside",
    "passed_teachers",
    "read_teacher",
    "section_of",
    "teacher_section",
]

Settings = Mapping[str, Any]
AnyData = str | Settings | Data | Dataset[Any] | Pair
AnyTeacher = str | Path | Settings | Result | nn.Module | Classifier | Callable[[Tensor], Any] | Sequence[Any]


def section_of(role: str, value: object, key: str = "name") -> dict[str, Any]:
    """Return the section for a name, a section, or an object (which is recorded by its type; a function by its name)."""
    if isinstance(value, type):
        raise UsageError(f"{role}: {value.__name__} is a class, expected an object of it: {value.__name__}(...)")
    if isinstance(value, str):
        return {key: value}
    if isinstance(value, Mapping) and is_section(value, key):
        return dict(value)
    named = value if isinstance(value, FunctionType | MethodType) else type(value)
    return {key: f"{PYTHON}{named.__module__}.{named.__qualname__}"}


def is_section(value: object, key: str = "name") -> bool:
    """Return whether a value is a section and not a mapping of splits."""
    return isinstance(value, Mapping) and (key in value or not {"train", "test"} & set(value))


def teacher_section(teacher: AnyTeacher | None) -> dict[str, Any]:
    """Return the section of a teacher: a path, a section, a Result or a module; empty without a teacher."""
    if teacher is None:
        return {}
    if isinstance(teacher, Result):
        return {"path": str(teacher.path)}
    if isinstance(teacher, list | tuple):
        return {"path": [str(teacher_section(each).get("path")) for each in teacher]}
    section = section_of("teacher", str(teacher) if isinstance(teacher, Path) else teacher, key="path")
    path, beside = section.get("path"), module_beside(teacher)
    if isinstance(path, Path | Result):
        section["path"] = str(path.path if isinstance(path, Result) else path)
    elif isinstance(path, list | tuple):
        section["path"] = [str(each) for each in path]
    return section if beside is None else {**section, "model": section_of("teacher.model", beside)["name"]}


def read_teacher(teacher: AnyTeacher | None, where: str) -> TeacherSection:
    """Return the section of a teacher.

    Args:
        teacher: as for `teacher_section`.
        where: prefix of keys in messages.

    Raises:
        UsageError: for an unknown key or a wrong value.
    """
    try:
        return TeacherSection.model_validate(teacher_section(teacher))
    except ValidationError as error:
        raise UsageError(explain(error, TeacherSection, where)) from error


def module_beside(teacher: object) -> nn.Module | None:
    """Return the module in {"path": RUN, "model": module}."""
    beside = teacher.get("model") if isinstance(teacher, Mapping) else None
    return beside if isinstance(beside, nn.Module) else None


def passed_teachers(teacher: AnyTeacher | None) -> nn.Module | tuple[nn.Module, ...] | None:
    """Return the network that a teacher is, or the networks of a list of them; None: it names files.

    Raises:
        UsageError: when a list holds both, or for an estimator that has not been fitted.
    """
    if isinstance(teacher, Result):
        return teacher.model
    if not isinstance(teacher, list | tuple):
        return as_teacher(teacher)
    found = [as_teacher(each) for each in teacher]
    if not any(each is not None for each in found):
        return None
    networks: list[nn.Module] = []
    for each, network in zip(teacher, found, strict=True):
        made = each.model if isinstance(each, Result) else network
        if made is None:
            raise UsageError(
                f"teacher: {each} stands beside networks in a list; pass its network: preceptor.load({str(each)!r})"
            )
        networks.append(made)
    return tuple(networks)


def loaded(data: AnyData) -> Data:
    """Return the data themselves: an object, or loaded by name or section."""
    if isinstance(data, Data):
        return data
    if isinstance(data, str) or is_section(data):
        return load_data(data_section(data))
    return from_objects(data)


def data_section(data: object) -> DataSection:
    """Return the section of data by name or section.

    Raises:
        UsageError: when the data were passed from Python.
    """
    section = DataSection.model_validate(section_of("data", data))
    if section.name.startswith(PYTHON):
        raise UsageError(f"data: {section.name} was passed as a Python object; pass it again as data=...")
    return section
