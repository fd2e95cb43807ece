"""What loads code or reaches the network when it is named. A file may name it; only the user's own words make it happen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from preceptor.config.sections import DataSection, ModelSection, ObjectiveSection, TeacherSection
from preceptor.errors import UsageError
from preceptor.signature import Settings

__all__ = ["PYTHON", "check_named", "is_own_class", "loads_code", "reaching_out", "remote_places", "values_in"]

PYTHON = "python:"  # how a configuration names an object that was passed from Python
_LIBRARIES = ("timm", "torchvision", "hf")
_NETWORKS = ("peers", "student")  # hyperparameters of objectives that name networks


def loads_code(name: str) -> bool:
    """Return whether making a network by this name imports a module of any name, or fetches a repository of any name.

    Examples:
        >>> loads_code("mypkg.nets:make"), loads_code("timm:hf-hub:someone/net")
        (True, True)
        >>> loads_code("timm:resnet18"), loads_code("wrn_40_2")
        (False, False)
    """
    kind, colon, rest = name.partition(":")
    if not colon or name.startswith(PYTHON):
        return False
    return kind not in _LIBRARIES or (kind == "timm" and ":" in rest)


def is_own_class(name: object) -> bool:
    """Return whether an objective of this name is a class `PKG.MODULE:CLASS`, which is imported.

    Examples:
        >>> is_own_class("mypkg.losses:Mine"), is_own_class("kd")
        (True, False)
    """
    return isinstance(name, str) and ":" in name and not name.startswith(PYTHON)


def remote_places(section: DataSection) -> dict[str, str]:
    """Return the values of a data section that lie behind a URL, by their keys."""
    values = {"name": section.name, **section.hyperparameters}
    return {key: leaf for key, value in values.items() for leaf in values_in(value) if "://" in leaf}


def reaching_out(recipe: Settings) -> Iterator[tuple[str, str]]:
    """Yield what a recipe names that loads code or reaches the network: key and value."""
    for key, section in recipe:
        match section:
            case DataSection():
                yield from ((f"{key}.{inner}", value) for inner, value in remote_places(section).items())
            case ModelSection():
                yield from _of_network(key, section)
            case TeacherSection():
                yield from _of_network(f"{key}.model", section.model)
                yield from ((f"{key}.assistants", name) for name in section.assistants if loads_code(name))
            case ObjectiveSection():
                yield from _own_terms(key, section)
                yield from _networks_of_terms(key, section)
            case _ if key == "track":
                yield from ((key, name) for name in section)


def check_named(found: Iterable[tuple[str, str]], words: Sequence[str], source: str) -> None:
    """Check that the user has named everything that loads code or reaches the network.

    Args:
        found: as `reaching_out` yields it.
        words: the user's own, `key=value`.
        source: where the names stand, for messages.

    Raises:
        UsageError: for one that stands in a file only: what to add.
    """
    named = {leaf for word in words for leaf in _leaves_of(word.partition("=")[2])}
    for key, value in found:
        if value not in named:
            raise UsageError(
                f"{source}: names {value}, which runs code or reaches the network; a file alone starts neither; if you trust it, "
                f"add {key}={value}"
            )


def values_in(value: object) -> Iterator[str]:
    """Yield the texts in a value, however deep in lists and mappings."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from values_in(each)


def _of_network(key: str, network: str | ModelSection | None) -> Iterator[tuple[str, str]]:
    place, name = (f"{key}.name", network.name) if isinstance(network, ModelSection) else (key, network)
    if name is not None and loads_code(name):
        yield place, name


def _own_terms(key: str, section: ObjectiveSection) -> Iterator[tuple[str, str]]:
    inner = {term: value.get("name") for term, value in section.hyperparameters.items() if isinstance(value, Mapping)}
    names = {f"{key}.name": section.name, **{f"{key}.{term}.name": name for term, name in inner.items()}}
    yield from ((key, str(name)) for key, name in names.items() if is_own_class(name))


def _networks_of_terms(key: str, section: ObjectiveSection) -> Iterator[tuple[str, str]]:
    of_terms = {f"{key}.{term}": each for term, each in section.hyperparameters.items() if isinstance(each, Mapping)}
    for place, values in {key: section.hyperparameters, **of_terms}.items():
        for each in _NETWORKS:
            yield from ((f"{place}.{each}", name) for name in values_in(values.get(each)) if loads_code(name))


def _leaves_of(text: str) -> Iterator[str]:
    yield text
    try:
        parsed: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        return
    yield from values_in(parsed)
