"""From a YAML file and `key=value` words to a checked recipe.

A bare section (`data=cifar100`) is short for its first key (`data.name=cifar100`) and starts the section anew, so that
nothing of the file's other choice lingers; `section.key=value` then changes single keys.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from preceptor.config.presets import NetworkOf, complete
from preceptor.config.sections import PROTOCOL_KEYS, Recipe
from preceptor.errors import UsageError
from preceptor.messages import first_few
from preceptor.signature import Settings, explain

__all__ = ["SHORT_FOR", "make_recipe", "split_overrides"]

_Recipe = TypeVar("_Recipe", bound=Settings)
SHORT_FOR = {  # the key that a bare section stands for
    "data": "name",
    "model": "name",
    "inputs": "name",
    "unlabelled": "name",
    "objective": "name",
    "method": "name",
    "optim": "name",
    "schedule": "name",
    "averaging": "name",
    "teacher": "path",
    "predictions": "path",
}
_INNER = "teacher.model"  # the section within a section that a bare name stands for


def make_recipe(
    kind: type[_Recipe],
    values: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    *,
    network_of: NetworkOf = lambda path: None,
) -> _Recipe:
    """Return a validated recipe.

    Args:
        kind: TeachRecipe, DistillRecipe or LabelRecipe.
        values: nested configuration, as read from YAML; sections may be bare names.
        overrides: `key=value` words, applied on top.
        network_of: returns the name of the network of a run folder, for presets that depend on it.

    Raises:
        UsageError: one line per bad key.

    Examples:
        >>> from preceptor.config.sections import TeachRecipe
        >>> recipe = make_recipe(TeachRecipe, overrides=["data=digits", "model=convnet_s", "optim.lr=1e-2"])
        >>> recipe.data.name, recipe.optim.lr
        ('digits', 0.01)
    """
    stated = (values or {}).get("kind")
    own = kind.kind if issubclass(kind, Recipe) else None
    if stated is not None and stated != own:
        raise UsageError(f"configuration: is that of a {stated} run{'' if own is None else f', not of {own}'}")
    merged = {key: _spread(key, value) for key, value in (values or {}).items() if key != "kind"}
    bare, dotted = split_overrides(overrides)
    merged.update({key: _spread(key, value) for key, value in bare.items()})
    dotted = _name_inner(dotted, merged)
    try:
        full = OmegaConf.to_container(OmegaConf.merge(OmegaConf.create(merged), OmegaConf.from_dotlist(dotted)))
    except (OmegaConfBaseException, yaml.YAMLError, TypeError, ValueError) as error:
        raise UsageError(f"configuration: {str(error).splitlines()[0]}") from error
    if not isinstance(full, dict):
        raise UsageError("configuration: is not a mapping of keys")
    _check_colons(full)
    sections = {str(key): _spread(str(key), value) for key, value in full.items()}
    try:
        return kind.model_validate(complete(sections, is_student="method" in kind.model_fields, network_of=network_of))
    except ValidationError as error:
        raise UsageError(explain(error, kind)) from error


def split_overrides(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Split `key=value` words into bare top-level ones, parsed, and dotted ones, as they are.

    Raises:
        UsageError: for a word without "=", or one that the shell has cut or multiplied.
    """
    _check_quotes(words)
    bare: dict[str, Any] = {}
    dotted = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word}: expected key=value, without spaces")
        if not _is_utf_8(value):
            raise UsageError(f"{key}: {value} is no UTF-8 text, which configurations are written in; rename it")
        if "." in key:
            dotted.append(word)
        else:
            bare[key] = _parse(key, value)
    return bare, dotted


def _is_utf_8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a name that Python could not decode
        return False
    return True


def _check_quotes(words: Sequence[str]) -> None:
    """Check that no value with braces or brackets came through the shell without quotes."""
    for number, word in enumerate(words):
        key, equals, _ = word.partition("=")
        if not equals or _open_brackets(word) <= 0:
            continue
        for end in range(number + 2, len(words) + 1):
            value = " ".join(words[number:end])
            if _open_brackets(value) == 0:
                raise UsageError(
                    f"{key}: its value was cut at a space; put quotes around the word: {shlex.quote(value)}"
                )
    for key, group in groupby(words, lambda word: word.partition("=")[0]):
        values = list(dict.fromkeys(word.partition("=")[2] for word in group))
        if len(values) > 1:
            raise UsageError(
                f"{key}: has {len(values)} values in a row ({first_few(values)}); of a word with braces the shell makes several: "
                "put quotes around it"
            )


def _open_brackets(text: str) -> int:
    return sum((c in "{[") - (c in "}]") for c in text)


def _check_colons(values: Mapping[Any, Any], where: str = "") -> None:
    """Check that no key of a mapping in braces swallowed its value: {schedule:fade_in}."""
    for key, value in values.items():
        if value is None and ":" in str(key):
            raise UsageError(f"{where}{key}: needs a space after the colon: {{{str(key).replace(':', ': ', 1)}, ...}}")
        if isinstance(value, Mapping):
            _check_colons(value, f"{where}{key}.")


def _parse(key: str, value: str) -> object:
    try:
        parsed = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise UsageError(f"{key}: {value!r} cannot be read as a value") from error
    return parsed["value"] if isinstance(parsed, dict) else None


def _name_inner(dotted: Sequence[str], merged: dict[str, Any]) -> list[str]:
    """Return dotted words with `teacher.model=NAME` as `teacher.model.name=NAME`, first, where other words set its keys.

    A name that is in the configuration already becomes the key `name` too.
    """
    has_keys = any(word.startswith(f"{_INNER}.") for word in dotted)
    bare = [word for word in dotted if word.partition("=")[0] == _INNER]
    section, _, key = _INNER.partition(".")
    inner = merged.get(section, {})
    if not has_keys:
        return list(dotted)
    if isinstance(inner, Mapping) and (bare or isinstance(inner.get(key), str)):
        name = {} if bare else {"name": inner[key]}
        merged[section] = {**inner, key: name}
    named = [f"{_INNER}.name={word.partition('=')[2]}" for word in bare]
    return [*named, *(word for word in dotted if word not in bare)]


def _spread(key: str, value: object) -> object:
    if key == "unlabelled" and value is None:  # the one section that a recipe may leave out
        return None
    section = {SHORT_FOR[key]: value} if key in SHORT_FOR and not isinstance(value, Mapping) else value
    if key in PROTOCOL_KEYS and isinstance(section, Mapping):  # None leaves a key open
        return {name: each for name, each in section.items() if each is not None or name not in PROTOCOL_KEYS[key]}
    return section
