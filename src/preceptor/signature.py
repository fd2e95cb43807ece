"""A constructor's signature read as its configuration: names, types, defaults; pydantic checks the values."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from preceptor.errors import UsageError

__all__ = ["check_knobs", "did_you_mean", "explain", "knob_defaults"]


def knob_defaults(make: Callable[..., object]) -> dict[str, Any]:
    """Return the knobs of a callable with their defaults, in order.

    Example:
        >>> def make(*, temperature: float = 4.0) -> None: ...
        >>> knob_defaults(make)
        {'temperature': 4.0}
    """
    return {name: knob.default for name, knob in _named(make).items()}


def check_knobs(make: Callable[..., object], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return all knobs of a callable: the given values, validated against its annotations, and its defaults.

    Args:
        make: a class or function.
        values: by knob name.
        where: dotted place of the values in the configuration, for the message.

    Raises:
        UsageError: for an unknown knob or a value of the wrong type, a line each.
    """
    hints = get_type_hints(inspect.unwrap(make.__init__) if inspect.isclass(make) else make)
    fields: dict[str, Any] = {
        name: (hints[name], ... if knob.default is inspect.Parameter.empty else knob.default)
        for name, knob in _named(make).items()
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())
    model: type[BaseModel] = create_model("Knobs", __config__=config, **fields)
    try:
        checked = model.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(explain(error, model, where)) from error
    return dict(checked)


def explain(error: ValidationError, model: type[BaseModel], where: str = "") -> str:
    """Return what is wrong with a configuration, a line for each bad key."""
    lines = []
    for problem in error.errors():
        names = [str(part) for part in problem["loc"] if not _is_type_tag(part, problem["loc"])]
        key = ".".join([where, *names] if where else names)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key{did_you_mean(names[-1], _fields_at(model, names[:-1]), most=1)}")
        elif problem["type"] == "missing":
            lines.append(f"{key}: is needed and was not given")
        else:
            lines.append(f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}")
    return "\n".join(dict.fromkeys(lines))


def did_you_mean(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """Return "; did you mean ...?" with the nearest known names, or the names there are."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=most, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; there are: {', '.join(names)}" if names else "; there are none"


def _named(make: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """Return the parameters that have a name; a class without an own constructor has none."""
    collectors = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    parameters = inspect.signature(make).parameters
    return {name: parameter for name, parameter in parameters.items() if parameter.kind not in collectors}


def _is_type_tag(part: int | str, loc: tuple[int | str, ...]) -> bool:
    """Tell pydantic's markers for the branch of a union ("int", "literal[...]") from keys."""
    return part == loc[-1] and len(loc) > 1 and (str(part) in {"int", "float", "str", "bool"} or "[" in str(part))


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for name in path:
        inner = model.model_fields[name].annotation if name in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
