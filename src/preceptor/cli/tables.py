"""`preceptor list`: the registries as tables."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from preceptor.config.presets import PRESETS
from preceptor.config.procedures import PROCEDURES
from preceptor.console import open_console
from preceptor.data.augment.policies import POLICIES
from preceptor.data.sources import registry as data
from preceptor.errors import UsageError
from preceptor.lazy import LazyImport
from preceptor.messages import did_you_mean
from preceptor.models import registry as models
from preceptor.objectives.distill import METHODS
from preceptor.objectives.entry import Entry
from preceptor.objectives.schedules import Schedule, Weight
from preceptor.objectives.teacher import OBJECTIVES, SUMS
from preceptor.signature import default_hyperparameters

__all__ = ["list_verb"]


_READING = {
    "normalisation": "data; own: that of its pretrained weights",
    "resolution": "the data's size, or the fixed one of the network",
}
_KEYS = {
    "timm:NAME": {"pretrained": "False", **_READING, "others": "what timm.create_model takes"},
    "torchvision:NAME": {"weights": "None", **_READING, "others": "what torchvision.models.get_model takes"},
    "hf:PLACE": {"pretrained": "True where there are weights", **_READING, "others": "what its configuration holds"},
    "PKG.MODULE:FACTORY": {**_READING, "others": "what the factory takes"},
}

Registry = Literal["models", "objectives", "methods", "inputs", "data", "presets"]


def list_verb(what: Registry, name: str | None = None) -> None:
    """Print one registry, or the documentation and keys of one of its names.

    Raises:
        UsageError: for a name that is not in it, or that has no keys.
    """
    if name is not None:
        _explain(what, name)
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
    if what != "presets":
        open_console().print(f"\nKeys of one of them: preceptor list {what} NAME", highlight=False)


def _explain(what: Registry, name: str) -> None:
    if what == "models":
        _explain_model(name)
        return
    entries: dict[str, Entry] = {"objectives": OBJECTIVES, "methods": {**METHODS, **PROCEDURES}}.get(what, {})
    role = {"objectives": "objective", "methods": "method", "inputs": "inputs", "data": "data"}.get(what)
    others: dict[str, Mapping[str, LazyImport[Any]]] = {"data": data.SOURCES, "inputs": POLICIES}
    known = others.get(what, {key: entry.source for key, entry in entries.items()})
    if role is None or name not in known:
        raise UsageError(f"list {what}: no {name!r} with keys{did_you_mean(name, known)}")
    entry = entries.get(name)
    source = known[name]
    text = source.doc() if entry is None else source.module_doc()
    console = open_console()
    console.print(f"{text}\n", highlight=False)
    table = _table("key", "default")
    if entry is not None:
        table.add_row(f"{role}.weight", _weight(entry.weight))
        for other, weight in entry.companions.items():
            table.add_row(f"{role}.{other}.weight", _weight(weight))
    for hyperparameter, value in {
        **default_hyperparameters(source),
        **(entry.hyperparameters if entry is not None else {}),
    }.items():
        table.add_row(f"{role}.{hyperparameter}", "(needed)" if value is inspect.Parameter.empty else str(value))
    console.print(table)


def _explain_model(name: str) -> None:
    """Print the further keys of a network; for other libraries, those that do not depend on the network."""
    kind, colon, _ = name.partition(":")
    console, table = open_console(), _table("key", "default")
    if colon:
        prefix = next((each for each in models.PREFIXES if each.startswith(f"{kind}:")), "PKG.MODULE:FACTORY")
        console.print(f"{models.PREFIXES[prefix]}\n", highlight=False)
        for key, default in _KEYS[prefix].items():
            table.add_row(f"model.{key}" if key != "others" else "(others)", default)
    else:
        hyperparameters = models.hyperparameters(name)
        console.print(f"{models.names()[name]}\n", highlight=False)
        for hyperparameter, value in hyperparameters.items():
            table.add_row(f"model.{hyperparameter}", "(needed)" if value is inspect.Parameter.empty else str(value))
    table.add_row("model.logits", "one per class; 1 for two classes: the log-odds of class 1")
    console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column,
            overflow="fold",
            no_wrap=column in {"method", "objective", "inputs", "model", "data", "preset", "key"},
        )
    return table


def _models() -> Table:
    table = _table("model", "parameters (100 classes)", "what it is")
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
        weights = " + ".join(f"{_weight(weight)} {term}" for term, weight in terms.items())
        table.add_row(name, "", "", "sum", Text(weights))
    return table


def _methods() -> Table:
    return _entries("method", {**METHODS, **PROCEDURES})


def _presets() -> Table:
    table = _table("preset", "what it is")
    for name, preset in PRESETS.items():
        table.add_row(name, Text(preset.description))
    return table


def _entries(role: str, entries: Mapping[str, Entry]) -> Table:
    table = _table(role, "paper", "year", "looks at", "weight, and what comes with it")
    for name, entry in entries.items():
        companions = "".join(f" + {_weight(weight)} {term}" for term, weight in entry.companions.items())
        weights = Text(f"{_weight(entry.weight)}{companions}")
        table.add_row(name, Text(entry.paper), str(entry.year), entry.kind, weights)
    return table


def _weight(weight: Weight) -> str:
    return f"{weight.peak:g} ({type(weight).__name__})" if isinstance(weight, Schedule) else f"{weight:g}"
