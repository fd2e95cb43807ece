"""`preceptor grid`: from words to cells that run, and what is printed of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml
from rich.table import Table

from preceptor.api.experiments import grid
from preceptor.config.sections import LabelRecipe, TeachRecipe
from preceptor.console import open_console
from preceptor.errors import UsageError
from preceptor.experiments.cells import Cell
from preceptor.experiments.dry_run import Guess, dry_run
from preceptor.experiments.executor import Executor, threads_of
from preceptor.experiments.grid import Grid, open_grid
from preceptor.experiments.local import places
from preceptor.experiments.progress import status_table
from preceptor.experiments.ray_cluster import RayCluster
from preceptor.experiments.shipped import shipped_grids
from preceptor.experiments.slurm import parse_options, submit
from preceptor.experiments.store import Store
from preceptor.runner.cost import cost_of, cost_of_labels, measure_speed

__all__ = ["Place", "grid_verb", "list_grids"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where cells run: the options of the command line."""

    jobs: int | None = None
    gpus: tuple[str, ...] = ()
    per_gpu: int = 1
    ranks: int | None = None
    threads: int | None = None
    slurm: str | None = None
    ray: str | None = None
    ray_cpus: float = 1
    ray_gpus: float = 0


def grid_verb(
    source: str,
    words: Sequence[str],
    only: Sequence[str],
    place: Place,
    *,
    trust: Sequence[str] = (),
    retry: bool = False,
    status: bool = False,
    show_plan: bool = False,
) -> None:
    """Carry out `preceptor grid`.

    Args:
        source: a grid file, or the name of a shipped one.
        words: changes to it, `key=value`.
        only: choices of the cells to run, `key=value`.
        place: where they run.
        trust: what the file names that runs code or reaches the network.
        retry: run those that have failed.
        status: print where the cells stand, and run nothing.
        show_plan: print what would run, and run nothing.
    """
    if place.slurm is not None and place.ray is not None:
        raise UsageError("--slurm and --ray: one of them")
    made = open_grid(source, _values(words, "--set"), trust)
    chosen = _values(only, "--only")
    cells, store, console = made.select(chosen), Store(made.folder), open_console(soft_wrap=True)
    ranks = made.ranks if place.ranks is None else place.ranks
    if status:
        console.print(status_table(cells, store))
    elif show_plan:
        room = len(places(place.jobs, place.gpus, place.per_gpu, ranks))
        guesses = partial(_guesses, threads=place.threads or threads_of(room, ranks))
        console.print(dry_run(cells, store, guesses, room))
        for note in made.notes:
            console.print(note, highlight=False)
    elif place.slurm is not None:
        _submit(made, cells, store, place, ranks)
    else:
        grid(
            made,
            only=chosen,
            jobs=place.jobs,
            gpus=place.gpus,
            per_gpu=place.per_gpu,
            ranks=ranks,
            threads=place.threads,
            executor=_executor(place, ranks),
            retry=retry,
        )
        console.print(f"Grid: {made.out}  ({len(cells)} cells done)", highlight=False)


def list_grids() -> None:
    """Print the shipped grid files."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, line in shipped_grids().items():
        table.add_row(name, line)
    open_console().print(table)


def _executor(place: Place, ranks: int) -> Executor | None:
    if place.ray is None:
        return None
    return RayCluster(place.ray, cpus=place.ray_cpus, gpus=place.ray_gpus, ranks=ranks, jobs=place.jobs)


def _submit(made: Grid, cells: Sequence[Cell], store: Store, place: Place, ranks: int) -> None:
    options = parse_options(place.slurm or "")
    path = made.write()
    sent = submit(cells, store, path.parent, options, name=made.name, ranks=ranks, at_a_time=place.jobs)
    jobs = f"as {len(sent.jobs)} arrays ({', '.join(sent.jobs)})" if sent.jobs else "nothing"
    open_console(soft_wrap=True).print(
        f"Submitted {sent.cells} cells {jobs}; {sent.queued} were in the queue; --status shows where they stand",
        highlight=False,
    )


def _guesses(cells: Sequence[Cell], by_id: Mapping[str, Cell], threads: int) -> dict[str, Guess]:
    """Return what a cell of each kind takes, from its operations and a short training here."""
    first = {cell.kind: cell for cell in cells}
    recipes = [cell.recipe for cell in by_id.values()]
    trained = next((each for each in recipes if each is not None and not isinstance(each, LabelRecipe)), None)
    if not first or trained is None:
        return {}
    speed = measure_speed(trained, threads)
    guesses = {}
    for kind, cell in first.items():
        taught = None if cell.teacher is None else by_id[cell.teacher.cell].recipe
        network = taught.model if isinstance(taught, TeachRecipe) else None
        assert cell.recipe is not None
        if isinstance(cell.recipe, LabelRecipe):
            cost = cost_of_labels(cell.recipe, network)
        else:
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
