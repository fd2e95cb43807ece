"""`preceptor grid`: from words to cells that run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from preceptor.api.experiments import grid
from preceptor.config.sections import LabelRecipe, TeachRecipe
from preceptor.errors import UsageError
from preceptor.experiments.cells import Cell
from preceptor.experiments.dry_run import Guess
from preceptor.experiments.dry_run import dry_run as show_dry_run
from preceptor.experiments.executor import threads_of
from preceptor.experiments.grid import open_grid
from preceptor.experiments.local import places
from preceptor.experiments.progress import status_table
from preceptor.experiments.shipped import shipped_grids
from preceptor.experiments.store import Store
from preceptor.runner.cost import cost_of, measure_speed

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
        ranks = where["ranks"] or made.ranks
        room = len(places(where["jobs"], where["gpus"], where["per_gpu"], ranks))
        guesses = partial(_guesses, threads=where["threads"] or threads_of(room, ranks))
        console.print(show_dry_run(cells, Store(made.folder), guesses, room), soft_wrap=True)
        for note in made.notes:
            console.print(note, markup=False, highlight=False)
        return
    grid(made, only=chosen, **where)
    console.print(f"Grid: {made.out}  ({len(cells)} cells done)", highlight=False, soft_wrap=True)


def list_grids() -> None:
    """Print the shipped grid files."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, line in shipped_grids().items():
        table.add_row(name, line)
    Console().print(table)


def _guesses(cells: Sequence[Cell], by_id: Mapping[str, Cell], threads: int) -> dict[str, Guess]:
    """Return what a cell of each kind takes, from its operations and a short training here."""
    first = {cell.kind: cell for cell in cells}
    trained = next(
        (cell.recipe for cell in by_id.values() if cell.recipe and not isinstance(cell.recipe, LabelRecipe)), None
    )
    if not first or trained is None:
        return {}
    speed = measure_speed(trained, threads)
    guesses = {}
    for kind, cell in first.items():
        taught = None if cell.teacher is None else by_id[cell.teacher.cell].recipe
        network = taught.model if isinstance(taught, TeachRecipe) else None
        assert cell.recipe is not None
        cost = cost_of(cell.recipe, network, stored=cell.labels is not None, kept=len(cell.kept))
        guesses[kind] = Guess(speed.seconds(cost), cost.bytes)
    return guesses


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
