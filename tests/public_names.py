"""What users may name: functions and objectives with their parameters, verbs with their options, keys, and what keys can name.

    python tests/public_names.py > tests/public_names.txt

writes the list anew. To take a name off it is a change that users see: it belongs into CHANGELOG.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args

import typer

from preceptor.cli import app
from preceptor.cli.keys import keys_of
from preceptor.cli.tables import Registry, names_of

__all__ = ["MODULES", "public_names"]

MODULES = (  # whose `__all__` is public
    "preceptor",
    "preceptor.assessment",
    "preceptor.data",
    "preceptor.data.augment.mixtures",
    "preceptor.divergences",
    "preceptor.errors",
    "preceptor.objectives.base",
    "preceptor.objectives.distill",
    "preceptor.objectives.schedules",
    "preceptor.objectives.teacher",
    "preceptor.objectives.weighted",
    "preceptor.types",
)
_CONFIGURED = ("preceptor.objectives.", "preceptor.data.augment.")  # classes whose constructors are their configuration
_ALONE = (("preceptor.extras", "fit_torchvision"),)  # public names of other modules


def public_names() -> list[str]:
    """Return every public name, a line each, sorted within its kind."""
    found = [(module, name) for module in MODULES for name in import_module(module).__all__]
    names = sorted(
        f"{module}.{name}{_parameters(getattr(import_module(module), name))}" for module, name in [*found, *_ALONE]
    )
    return [*names, *_options(), *_keys(), *_registered()]


def _parameters(value: Any) -> str:
    """Return the names of what a function or an objective, a policy or a schedule takes; nothing of other objects."""
    if not inspect.isfunction(value) and not (inspect.isclass(value) and value.__module__.startswith(_CONFIGURED)):
        return ""
    marks: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = inspect.signature(value).parameters.values()
    return f"({', '.join(marks.get(each.kind, '') + each.name for each in parameters)})"


def _options() -> Iterator[str]:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for verb, command in sorted(commands.items()):
        options = sorted(option for each in command.params for option in each.opts if option.startswith("--"))
        yield f"verb {' '.join([verb, *options])}"


def _keys() -> Iterator[str]:
    for verb in ("teach", "distill", "label"):
        yield from (f"key {verb} {key}" for key in sorted(keys_of([verb])))


def _registered() -> Iterator[str]:
    for what in get_args(Registry):
        yield from (f"{what} {name}" for name in sorted(names_of(what)))


if __name__ == "__main__":
    print("\n".join(public_names()))
