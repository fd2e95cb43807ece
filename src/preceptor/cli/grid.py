"""`preceptor grid`: from words to cells that run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from preceptor.api.experiments import grid
from preceptor.errors import UsageError
from preceptor.experiments.grid import open_grid
from preceptor.experiments.progress import status_table
from preceptor.experiments.shipped import shipped_grids
from preceptor.experiments.store import Store

__all__ = ["grid_verb", "list_grids"]


def grid_verb(
    source: str,
    words: Sequence[str],
    only: Sequence[str],
    *,
    status: bool = False,
    dry_run: bool = False,
    **where: Any,
) -> None:
    """Carry out `preceptor grid`.

    Args:
        source: a grid file, or the name of a shipped one.
        words: changes to it, `key=value`.
        only: choices of the cells to run, `key=value`.
        status: print where the cells stand, and run nothing.
        dry_run: print what would run, and run nothing.
        where: how many cells run at a time, and where: see `preceptor.grid`.
    """
    made = open_grid(source, _values(words, "--set"))
    chosen = _values(only, "--only")
    cells = made.select(chosen)
    console = Console()
    if status:
        console.print(status_table(cells, Store(made.folder)))
        return
    if dry_run:
        return
    grid(made, only=chosen, **where)
    console.print(f"Grid: {made.out}  ({len(cells)} cells done)", highlight=False)


def list_grids() -> None:
    """Print the shipped grid files."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, line in shipped_grids().items():
        table.add_row(name, line)
    Console().print(table)


def _values(words: Sequence[str], option: str) -> dict[str, Any]:
    """Return the values of `key=value` words; several values are separated by commas, or a YAML list."""
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not key or not equals:
            raise UsageError(f"{option} {word}: expected key=value")
        if key in values:
            raise UsageError(f"{option} {key}: is set twice")
        is_several = "," in text and not set(text) & set("[{'\"")
        try:
            values[key] = yaml.safe_load(f"[{text}]" if is_several else text)
        except yaml.YAMLError as error:
            raise UsageError(f"{option} {key}: {text!r} cannot be read as a value") from error
    return values
