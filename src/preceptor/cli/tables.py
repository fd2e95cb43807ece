"""`preceptor list`: what can be named, from the registries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from preceptor import data, models
from preceptor.objectives.base import Weight
from preceptor.objectives.distill import METHODS
from preceptor.objectives.entry import Entry
from preceptor.objectives.schedules import Schedule
from preceptor.objectives.teacher import OBJECTIVES, SUMS
from preceptor.recipes.knobs import knob_defaults
from preceptor.recipes.presets import PRESETS
from preceptor.recipes.procedures import PROCEDURES

__all__ = ["list_verb"]


def list_verb(what: Literal["models", "objectives", "methods", "data", "presets"]) -> None:
    """Print one registry."""
    tables = {"models": _models, "objectives": _objectives, "methods": _methods, "data": _data, "presets": _presets}
    Console().print(tables[what]())


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _models() -> Table:
    table = _table("model", "parameters (100 classes)", "what it is")
    for name, description in models.names().items():
        table.add_row(name, f"{models.parameter_count(name):,}", Text(description))
    return table


def _data() -> Table:
    table = _table("data", "what it is", "keys")
    for name, description in data.names().items():
        table.add_row(name, Text(description), _knobs("data", data.SOURCES[name]))
    return table


def _objectives() -> Table:
    table = _entries("objective", OBJECTIVES)
    for name, terms in SUMS.items():
        parts = " + ".join(f"{_weight(weight)} {term}" for term, weight in terms.items())
        table.add_row(name, "", "", "sum", Text(parts), "")
    return table


def _methods() -> Table:
    return _entries("method", {**METHODS, **PROCEDURES})


def _presets() -> Table:
    table = _table("preset", "what it is")
    for name, preset in PRESETS.items():
        table.add_row(name, Text(preset.description))
    return table


def _entries(role: str, entries: Mapping[str, Entry]) -> Table:
    table = _table(role, "paper", "year", "looks at", "weight, and what comes with it", "keys")
    for name, entry in entries.items():
        others = "".join(f" + {_weight(weight)} {term}" for term, weight in entry.companions.items())
        weights = Text(f"{_weight(entry.weight)}{others}")
        table.add_row(
            name, Text(entry.paper), str(entry.year), entry.kind, weights, _knobs(role, entry.objective, entry.knobs)
        )
    return table


def _weight(weight: Weight) -> str:
    return f"{weight.peak:g} ({type(weight).__name__})" if isinstance(weight, Schedule) else f"{weight:g}"


def _knobs(role: str, make: Callable[..., Any], changed: Mapping[str, Any] = {}) -> Text:
    return Text("\n".join(f"{role}.{name}={value}" for name, value in {**knob_defaults(make), **changed}.items()))
