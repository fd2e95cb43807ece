"""`preceptor list KIND NAME`: what something does, where it comes from, its keys and their defaults."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from preceptor.config.presets import PRESETS, Preset
from preceptor.config.procedures import PROCEDURES
from preceptor.config.terms import source_of
from preceptor.config.trust import is_own_class
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

__all__ = ["print_card"]

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
_ROLES = {"objectives": "objective", "methods": "method", "inputs": "inputs", "data": "data"}
_Source = LazyImport[Any] | type[Any]


def print_card(what: str, name: str) -> None:
    """Print the documentation and the keys of one name of a registry, or of an objective of one's own.

    Args:
        what: the registry, as `preceptor list` calls it.
        name: in it; of methods and objectives also PKG.MODULE:CLASS, which is imported.

    Raises:
        UsageError: for a name that is not in it.
    """
    if what == "models":
        _print_model(name)
    elif what == "presets" and name in PRESETS:
        _print(name, PRESETS[name].description, dict(_preset_keys(PRESETS[name])), "value")
    elif what == "objectives" and name in SUMS:
        keys = {f"objective.{term}.weight": _weight(weight) for term, weight in SUMS[name].items()}
        _print(name, "a sum; each term has a card of its own", keys)
    elif what in {"objectives", "methods"} and is_own_class(name):
        _print_own(_ROLES[what], name)
    else:
        _print_registered(what, name)


def _print_registered(what: str, name: str) -> None:
    entries: Mapping[str, Entry] = {"objectives": OBJECTIVES, "methods": {**METHODS, **PROCEDURES}}.get(what, {})
    others: dict[str, Mapping[str, Any]] = {"data": data.SOURCES, "inputs": POLICIES, "presets": PRESETS}
    known: Mapping[str, Any] = others.get(what, entries)
    if name not in known:
        raise UsageError(f"list {what}: no {name!r}{did_you_mean(name, known)}")
    role = _ROLES[what]
    if name not in entries:
        source: LazyImport[Any] = known[name]
        _print(name, source.doc(), _hyperparameters(role, source, {}))
        return
    entry = entries[name]
    weights = {f"{role}.weight": _weight(entry.weight)}
    weights |= {f"{role}.{other}.weight": _weight(weight) for other, weight in entry.companions.items()}
    text = entry.source.module_doc()
    if entry.paper:  # a procedure: the docstring is that of the method it runs
        text = f"{entry.does}\nSource: {entry.paper} ({entry.year})\n\n{text}"
    title = f"{name}  ({entry.year}, {'a ' if entry.kind == 'procedure' else 'looks at '}{entry.kind})"
    _print(title, text, {**weights, **_hyperparameters(role, entry.source, entry.hyperparameters)})


def _print_own(role: str, place: str) -> None:
    source = source_of(place, role)
    text = inspect.getdoc(source) if source.__doc__ else "(no docstring)"
    _print(place, str(text), {f"{role}.weight": "1", **_hyperparameters(role, source, {})})


def _print_model(name: str) -> None:
    """Print the further keys of a network; for other libraries, those that do not depend on the network."""
    kind, colon, _ = name.partition(":")
    if colon:
        prefix = next((each for each in models.PREFIXES if each.startswith(f"{kind}:")), "PKG.MODULE:FACTORY")
        text = models.PREFIXES[prefix]
        keys = {f"model.{key}" if key != "others" else "(others)": default for key, default in _KEYS[prefix].items()}
    else:
        keys = {f"model.{key}": _shown(value) for key, value in models.hyperparameters(name).items()}
        text = models.names()[name]
    keys["model.logits"] = "one per class; 1 for two classes: the log-odds of class 1"
    _print(name, text, keys)


def _preset_keys(preset: Preset) -> Iterator[tuple[str, str]]:
    """Yield the keys of a preset for teachers and students; those of a method or a pair depend on the method."""
    yield from _flat({**preset.both, "optim": {**preset.both.get("optim", {}), "lr": preset.lr}})
    yield "optim.lr (MobileNetV2, Shuffle)", f"{preset.gentle_lr:g}"
    for prefix, keys in (
        ("teach: ", preset.teach),
        ("distill: ", preset.distill),
        *((f"method {name}: ", own) for name, own in preset.methods.items()),
    ):
        yield from ((f"{prefix}{key}", value) for key, value in _flat(keys))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _hyperparameters(role: str, source: _Source, replaced: Mapping[str, Any]) -> dict[str, str]:
    values = {**default_hyperparameters(source), **replaced}
    return {f"{role}.{name}": _shown(value) for name, value in values.items()}


def _print(title: str, text: str, keys: Mapping[str, str], column: str = "default") -> None:
    console = open_console()
    console.print(f"{title}\n", highlight=False)
    for line in _reflowed(text, console.width):
        console.print(line, highlight=False)
    if not keys:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("key", overflow="fold")
    table.add_column(column, overflow="fold")
    for key, value in keys.items():
        table.add_row(Text(key), Text(value))
    console.print()
    console.print(table)


def _reflowed(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a docstring, its paragraphs and the items of its lists filled anew."""
    blocks: list[list[str]] = []
    for line in text.splitlines():
        first = blocks[-1][0] if blocks else ""
        continues = line.startswith(" " * 8) if first.startswith(" ") else line.strip() == line != "" and first != ""
        if continues and not line.startswith(("Source:", "Differs")):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    for block in blocks:
        indent = "    " if block and block[0].startswith(" ") else ""
        filled = " ".join(line.strip() for line in block)
        yield from textwrap.wrap(filled, width, initial_indent=indent, subsequent_indent=2 * indent) or [""] * len(
            block
        )


def _shown(value: object) -> str:
    return "(needed)" if value is inspect.Parameter.empty else str(value)


def _weight(weight: Weight) -> str:
    return f"{weight.peak:g} ({type(weight).__name__})" if isinstance(weight, Schedule) else f"{weight:g}"
