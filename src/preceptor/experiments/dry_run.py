"""`preceptor grid --dry-run`: what would run, how long it would take and how much disk it would need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from preceptor.experiments.cells import Cell
from preceptor.experiments.expected import Pace
from preceptor.experiments.schedule import CellStatus, status_of
from preceptor.experiments.store import Store
from preceptor.messages import as_clock

__all__ = ["Guess", "Guesses", "dry_run"]


@dataclass(frozen=True, slots=True)
class Guess:
    """What one cell takes, where none of its kind is done: seconds and bytes."""

    seconds: float
    bytes: int


Guesses = Callable[
    [Sequence[Cell], Mapping[str, Cell]], Mapping[str, Guess]
]  # cells of new kinds, all by id -> by kind


@dataclass(frozen=True, slots=True)
class _Part:
    """The cells of one verb."""

    cells: list[Cell]
    done: int
    seconds: float
    bytes: int
    num_estimated: int


def dry_run(cells: Sequence[Cell], store: Store, guesses: Guesses, places: int) -> RenderableType:
    """Return what would run.

    Args:
        cells: of the grid.
        store: their folder: cells of a kind that is done there take as long again.
        guesses: of kinds of which none is done.
        places: how many cells run at a time.
    """
    pace, stands = Pace(store), status_of(cells, store)
    unknown = [cell for cell in cells if stands[cell.id] != "done" and not pace.is_measured(cell)]
    made = guesses(unknown, {cell.id: cell for cell in cells})
    sizes = _sizes(cells, store, stands)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "cells", "done", "each", "left", "disk"):
        table.add_column(heading, justify="left" if not heading else "right")
    parts = {
        verb: _part([cell for cell in cells if cell.verb == verb], stands, pace, made, sizes) for verb in _verbs(cells)
    }
    for verb, part in parts.items():
        left = len(part.cells) - part.done
        each = as_clock(part.seconds / left) if left else ""
        table.add_row(verb, f"{len(part.cells)}", f"{part.done}", each, as_clock(part.seconds), _size(part.bytes))
    seconds, size = sum(part.seconds for part in parts.values()), sum(part.bytes for part in parts.values())
    estimated = sum(part.num_estimated for part in parts.values())
    lines = [f"{as_clock(seconds / places)} with {places} at a time, {_size(size)} of disk"]
    if estimated:
        lines.append(
            f"{estimated} of these times are estimated, from operations and a short measurement of one training here, alone; the "
            "others are those of cells like them that are done"
        )
    users = [len([cell for cell in cells if each.id in cell.needs]) for each in cells if each.verb != "distill"]
    if shared := [count for count in users if count > 1]:
        lines.append(f"{len(shared)} cells are made once for {sum(shared)} others")
    return Group(table, *map(Text, lines))


def _part(
    cells: list[Cell],
    stands: Mapping[str, CellStatus],
    pace: Pace,
    guesses: Mapping[str, Guess],
    sizes: Mapping[str, int],
) -> _Part:
    left = [cell for cell in cells if stands[cell.id] != "done"]
    estimated = [cell for cell in left if not pace.is_measured(cell)]
    seconds = sum(pace.seconds(cell) or guesses[cell.kind].seconds for cell in left)
    size = sum(
        sizes[cell.kind] if cell.kind in sizes else guesses[cell.kind].bytes if cell.kind in guesses else 0
        for cell in left
    )
    return _Part(cells, len(cells) - len(left), seconds, size, len(estimated))


def _sizes(cells: Iterable[Cell], store: Store, stands: Mapping[str, CellStatus]) -> dict[str, int]:
    """Return the bytes of one done cell of each kind."""
    sizes: dict[str, int] = {}
    for cell in cells:
        if stands[cell.id] == "done" and cell.kind not in sizes:
            sizes[cell.kind] = sum(path.stat().st_size for path in Path(cell.run).rglob("*") if path.is_file())
    return sizes


def _verbs(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.verb for cell in cells))


def _size(number: int) -> str:
    return f"{number / 2**30:,.1f} GiB" if number >= 2**30 else f"{number / 2**20:,.0f} MiB"
