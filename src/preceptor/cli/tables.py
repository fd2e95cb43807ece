"""`preceptor list`: the registries as tables, one line a name, in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from rich.table import Table
from rich.text import Text

from preceptor.cli.cards import print_card
from preceptor.config.presets import PRESETS
from preceptor.config.procedures import PROCEDURES
from preceptor.console import open_console
from preceptor.data.augment.policies import POLICIES
from preceptor.data.sources import registry as data
from preceptor.models import registry as models
from preceptor.objectives.distill import METHODS
from preceptor.objectives.entry import Entry
from preceptor.objectives.teacher import OBJECTIVES, SUMS

__all__ = ["Registry", "list_verb", "names_of"]

Registry = Literal["models", "objectives", "methods", "inputs", "data", "presets"]


def list_verb(what: Registry, name: str | None = None) -> None:
    """Print one registry, or the card of one of its names.

    Raises:
        UsageError: for a name that is not in it.
    """
    if name is not None:
        print_card(what, name)
        return
    tables = {
        "models": _models,
        "objectives": _objectives,
        "methods": _methods,
        "inputs": _inputs,
        "data": _data,
        "presets": _presets,
    }
    open_console().print(tables[what]())
    own = {"methods": "PKG.MODULE:CLASS", "objectives": "PKG.MODULE:CLASS"}.get(what)
    beside = "" if own is None else f"; your own: {own}"
    open_console().print(f"\nIts card: preceptor list {what} NAME{beside}", highlight=False)


def names_of(what: Registry) -> list[str]:
    """Return the names in a registry, and prefixes of names, which end in a colon.

    Examples:
        >>> names_of("models")[-3:]
        ['timm:', 'torchvision:', 'hf:']
    """
    prefixes = [prefix.replace("NAME", "").replace("PLACE", "") for prefix in models.PREFIXES if "MODULE" not in prefix]
    names: dict[Registry, list[str]] = {
        "models": [*models.names(), *prefixes],
        "objectives": [*OBJECTIVES, *SUMS],
        "methods": [*METHODS, *PROCEDURES],
        "inputs": [*POLICIES],
        "data": [*data.SOURCES],
        "presets": [*PRESETS],
    }
    return names[what]


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    return table


def _models() -> Table:
    table = _table("model", "parameters", "what it is (parameters: for 100 classes)")
    for name, entry in models.ZOO.items():
        table.add_row(name, f"{entry.parameters:,}", Text(entry.description))
    for prefix, description in models.PREFIXES.items():
        table.add_row(prefix, "", Text(description))
    return table


def _data() -> Table:
    table = _table("data", "what it is")
    for name, description in data.names().items():
        table.add_row(name, Text(description))
    return table


def _inputs() -> Table:
    table = _table("inputs", "what they are")
    for name, policy in POLICIES.items():
        table.add_row(name, Text(policy.doc().splitlines()[0]))
    return table


def _objectives() -> Table:
    table = _entries("objective", OBJECTIVES)
    for name, terms in SUMS.items():
        table.add_row(name, Text(" + ".join(terms)), "", "sum")
    return table


def _methods() -> Table:
    return _entries("method", {**METHODS, **PROCEDURES})


def _presets() -> Table:
    table = _table("preset", "what it is")
    for name, preset in PRESETS.items():
        table.add_row(name, Text(preset.description))
    return table


def _entries(role: str, entries: Mapping[str, Entry]) -> Table:
    table = _table(role, "what it does", "year", "looks at")
    for name, entry in entries.items():
        table.add_row(name, Text(entry.does), str(entry.year), entry.kind)
    return table
