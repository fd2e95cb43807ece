"""A constructor's signature read as its configuration: names, types, defaults; pydantic checks the values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from preceptor.errors import UsageError
from preceptor.lazy import LazyImport
from preceptor.messages import did_you_mean

__all__ = ["Settings", "check_hyperparameters", "default_hyperparameters", "explain"]


class Settings(BaseModel):
    """A section of the configuration: frozen, and strict about its keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _tell_booleans_from_numbers(cls, value: object, info: ValidationInfo) -> object:
        return _checked_booleans(value, cls.model_fields[str(info.field_name)].annotation)


def default_hyperparameters(
    make: Callable[..., object] | LazyImport[Any], *, hidden: Collection[str] = ()
) -> dict[str, Any]:
    """Return the hyperparameters of a callable with their defaults, in order; `inspect.Parameter.empty` for a required one.

    Args:
        make: a class or function; one that is imported later is not imported for this.
        hidden: parameters that are not hyperparameters.

    Examples:
        >>> def make(*, temperature: float = 4.0) -> None: ...
        >>> default_hyperparameters(make)
        {'temperature': 4.0}
    """
    if isinstance(make, LazyImport):
        return {name: default for name, default in make.defaults().items() if name not in hidden}
    return {name: parameter.default for name, parameter in _named(make, hidden).items()}


def check_hyperparameters(
    make: Callable[..., object],
    values: Mapping[str, Any],
    where: str,
    *,
    hidden: Collection[str] = (),
    numbers_as_text: bool = False,
) -> dict[str, Any]:
    """Return all hyperparameters of a callable: the values, validated against its annotations, and its defaults.

    Args:
        make: a class or function.
        values: by name.
        where: dotted key of the values in the configuration, for messages.
        hidden: parameters that are not hyperparameters.
        numbers_as_text: whether a number is accepted where text is expected: a column may be called 5.

    Raises:
        UsageError: for an unknown or missing key, or a value of the wrong type: one line each.
    """
    model = _model_of(make, frozenset(hidden), numbers_as_text)
    try:
        checked = model.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(explain(error, model, where)) from error
    return dict(checked)


@cache
def _model_of(make: Callable[..., object], hidden: frozenset[str], numbers_as_text: bool) -> type[BaseModel]:
    """Return a callable's hyperparameters as a model, which is costly to make."""
    target = make.func if isinstance(make, partial) else make
    function = inspect.unwrap(target.__init__) if inspect.isclass(target) else inspect.unwrap(target)
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if parameter.default is inspect.Parameter.empty else parameter.default)
        for name, parameter in _named(make, hidden).items()
    }
    config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        coerce_numbers_to_str=numbers_as_text,
    )

    def tell_booleans_from_numbers(value: object, info: ValidationInfo) -> object:
        return _checked_booleans(value, hints.get(str(info.field_name), Any))

    validators: dict[str, Any] = {"booleans": field_validator("*", mode="before")(tell_booleans_from_numbers)}
    model: type[BaseModel] = create_model("Hyperparameters", __config__=config, __validators__=validators, **fields)
    return model


def explain(error: ValidationError, model: type[BaseModel], where: str = "") -> str:
    """Return what is wrong with a configuration, one line per bad key."""
    lines = []
    for problem in error.errors():
        names = [str(key) for key in problem["loc"] if not _is_type_tag(key, problem["loc"])]
        key = ".".join([where, *names] if where else names)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key{did_you_mean(names[-1], _fields_at(model, names[:-1]), most=1)}")
        elif problem["type"] == "missing":
            lines.append(f"{key}: is needed and was not given")
        else:
            lines.append(f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}")
    return "\n".join(dict.fromkeys(lines))


def _checked_booleans(value: object, annotation: object) -> object:
    """Return a value, if it holds no boolean in a number's place, nor a number in a boolean's; pydantic takes both."""
    kinds = _kinds_in(annotation)
    if kinds <= {bool, int, float, str, type(None)}:
        for leaf in _leaves(value):
            if isinstance(leaf, bool) and bool not in kinds and kinds & {int, float}:
                raise PydanticCustomError("number", "input should be a number, not true or false")
            if isinstance(leaf, int | float) and not isinstance(leaf, bool) and not kinds & {int, float, str}:
                raise PydanticCustomError("boolean", "input should be true or false")
    return value


def _kinds_in(annotation: object) -> set[object]:
    """Return the types that an annotation is made of: {float, NoneType} for tuple[float, ...] | None."""
    if get_origin(annotation) is Literal:
        return {type(choice) for choice in get_args(annotation)}
    if get_origin(annotation) is Annotated:
        return _kinds_in(get_args(annotation)[0])
    inner = [each for each in get_args(annotation) if each is not Ellipsis]
    return set().union(*map(_kinds_in, inner)) if inner else {annotation}


def _leaves(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    return [leaf for each in value for leaf in _leaves(each)] if isinstance(value, list | tuple) else [value]


def _named(make: Callable[..., object], hidden: Collection[str]) -> dict[str, inspect.Parameter]:
    """Return the named parameters; a class without a constructor of its own has none."""
    collectors = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    parameters = inspect.signature(make).parameters
    return {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind not in collectors and name not in hidden
    }


def _is_type_tag(key: int | str, loc: tuple[int | str, ...]) -> bool:
    """Return whether a key is pydantic's marker for the branch of a union ("int", "literal[...]")."""
    return key == loc[-1] and len(loc) > 1 and (str(key) in {"int", "float", "str", "bool"} or "[" in str(key))


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for name in path:
        inner = model.model_fields[name].annotation if name in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
