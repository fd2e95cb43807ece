"""What a grid file varies: axes of choices, each choice some settings; and which verb a setting belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from preceptor.config.overrides import SHORT_FOR
from preceptor.config.sections import DistillRecipe, LabelRecipe, TeachRecipe
from preceptor.errors import UsageError
from preceptor.messages import did_you_mean

__all__ = [
    "AS",
    "Axis",
    "Choice",
    "Scalar",
    "Setting",
    "Verb",
    "agrees",
    "check_key",
    "flow",
    "is_key",
    "labels_of",
    "scoped",
    "settings_of",
    "zipped",
]

AS = "as"  # the key of a choice that says what it is called
Verb = Literal["teach", "label", "distill"]
Scalar = str | int | float | bool
_SHORT = {**SHORT_FOR, "teacher.model": "name"}
_FIELDS: Mapping[Verb, set[str]] = {
    "teach": set(TeachRecipe.model_fields),
    "label": set(LabelRecipe.model_fields) & {"data", "device", "engine", "precision", "workers"},
    "distill": set(DistillRecipe.model_fields),
}
_TAKEN = {  # what the grid sets itself
    "seed": "stands at the top level, as in seed: [0, 1, 2]",
    "out": "stands at the top level; the cells' folders are named by the grid",
    "resume": "is set by the grid",
    "overwrite": "is set by the grid",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of preceptor with its value, and its place in the file."""

    key: str
    value: Any
    place: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of an axis.

    Attributes:
        label: its readable value.
        value: as the file states it.
        settings: what it sets.
        place: in the file.
    """

    label: Scalar
    value: Any
    settings: tuple[Setting, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A list of choices; the lists of a grid multiply.

    Attributes:
        name: of the choice in a cell's description.
        choices: at least one.
        verb: whose settings these are; None: of zipped choices, each setting belongs where its key does.
    """

    name: str
    choices: tuple[Choice, ...]
    verb: Verb | None = None


def settings_of(key: str, value: Any, place: str) -> tuple[Setting, ...]:
    """Return the settings that a key with its value stands for; a section's mapping becomes dotted keys, its name first.

    Examples:
        >>> [(each.key, each.value) for each in settings_of("method", {"name": "crd", "kd.weight": 1}, "distill.method")]
        [('method', 'crd'), ('method.kd.weight', 1)]
    """
    if not isinstance(value, Mapping):
        return (Setting(key, value, place),)
    short = _SHORT.get(key)
    named = (Setting(key, value[short], place),) if short in value else ()
    rest = (
        Setting(f"{key}.{name}", each, f"{place}.{name}") for name, each in value.items() if name not in {short, AS}
    )
    return (*named, *rest)


def scoped(setting: Setting, *, has_teach: bool) -> dict[Verb, Setting]:
    """Return a setting that stands outside the sections of verbs as each verb's own.

    `teacher.model` is the network of the grid's teachers, `model` that of its students, and `teach.KEY`, `label.KEY` and
    `distill.KEY` are one verb's.

    Args:
        setting: of `fixed` or of zipped choices.
        has_teach: whether the grid trains its teachers.

    Raises:
        UsageError: for a key that no verb has, or that the grid sets itself.
    """
    key = setting.key
    first, dot, rest = key.partition(".")
    if dot and first in _FIELDS:
        check_key(rest, setting.place, first)  # type: ignore[arg-type]
        return {first: Setting(rest, setting.value, setting.place)}  # type: ignore[dict-item]
    if has_teach and (key == "teacher.model" or key.startswith("teacher.model.")):
        return {"teach": Setting(key.removeprefix("teacher."), setting.value, setting.place)}
    check_key(key, setting.place, None)
    verbs: list[Verb] = ["distill"] if first == "model" else [verb for verb in _FIELDS if first in _FIELDS[verb]]
    return dict.fromkeys(verbs, setting)


def check_key(key: str, place: str, verb: Verb | None) -> None:
    """Check that a key is one of a verb's, or of some verb's, and that the grid does not set it itself.

    Raises:
        UsageError: when it is not; the message starts with the place.
    """
    first = key.partition(".")[0]
    fields = (
        set(LabelRecipe.model_fields) if verb == "label" else _FIELDS[verb] if verb else set().union(*_FIELDS.values())
    )
    if first in _TAKEN and not (verb == "label" and first == "seed"):
        raise UsageError(f"{place}: {_TAKEN[first]}")
    if first not in fields:
        raise UsageError(f"{place}: unknown key{did_you_mean(first, sorted(fields - set(_TAKEN)), most=1)}")


def is_key(key: str) -> bool:
    """Return whether a dotted key is one of some verb's."""
    return any(key.partition(".")[0] in fields for fields in _FIELDS.values())


def labels_of(values: Sequence[Any]) -> list[Scalar]:
    """Return a readable value for each of several choices: its `as` or its name, and where others share that what it sets.

    Examples:
        >>> labels_of(["kd", {"name": "crd", "kd.weight": 1}])
        ['kd', 'crd']
        >>> labels_of([{"name": "kd", "temperature": 1}, {"name": "kd", "temperature": 4}])
        ['kd temperature=1', 'kd temperature=4']
    """
    names = [_name(value) for value in values]
    return [name if names.count(name) == 1 else _full(value) for name, value in zip(names, values, strict=True)]


def zipped(values: Sequence[Mapping[str, Any]]) -> list[Scalar]:
    """Return a readable value for each entry of zipped choices: its `as`, "teacher -> student", or what it sets."""
    both = {"teacher.model", "model"}
    pairs = [f"{_name(v['teacher.model'])} -> {_name(v['model'])}" if both <= set(v) else "" for v in values]
    is_pair = all(pairs) and len(set(pairs)) == len(pairs)
    return [value.get(AS, pair if is_pair else _full(value)) for value, pair in zip(values, pairs, strict=True)]


def agrees(wanted: Any, label: Scalar, value: Any, labels: Sequence[Scalar]) -> bool:
    """Return whether a choice is the one that a condition names: by its label, as the file states it, or by its name.

    Args:
        wanted: of the condition.
        label: of the choice.
        value: of the choice, as the file states it.
        labels: of all choices of this axis; a name is only looked for where none is called so.
    """
    if wanted == value or str(wanted) == str(label):
        return True
    is_label = any(str(wanted) == str(each) for each in labels)
    return not is_label and isinstance(value, Mapping) and value.get("name") == wanted


def flow(value: Any) -> str:
    """Return a value as YAML on one line, as it stands in a command.

    Examples:
        >>> flow(0.1), flow("true"), flow({"schedule": "fade_in"}), flow(None)
        ('0.1', "'true'", '{schedule: fade_in}', 'null')
    """
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=2**20, allow_unicode=True).strip()
    return text.removesuffix("...").strip()


def _name(value: Any) -> Scalar:
    if isinstance(value, Mapping):
        return str(value.get(AS, value.get("name", _full(value))))
    return value if isinstance(value, Scalar) else flow(value)


def _full(value: Any) -> Scalar:
    if not isinstance(value, Mapping):
        return _name(value)
    if AS in value:
        return str(value[AS])
    named = [str(value["name"])] if "name" in value else []
    return " ".join([*named, *(f"{key}={flow(each)}" for key, each in value.items() if key != "name")])
