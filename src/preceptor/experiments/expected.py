"""How long cells take: from cells of their kind that are done, and from the epochs that a running one has behind it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import ConfigDict, Field
from typing_extensions import NotRequired, TypedDict

from preceptor.artifacts.run_folder import RunFolder
from preceptor.documents import parse_document
from preceptor.errors import UsageError
from preceptor.experiments.cells import Cell
from preceptor.experiments.store import Store
from preceptor.reading import read_bytes

__all__ = ["Pace", "last_row", "time_left"]


class EpochProgress(TypedDict):
    """What the last row of metrics.jsonl says of a running cell."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    epoch: Annotated[int, Field(ge=1)]
    seconds: float
    validation: NotRequired[dict[str, int | float | None]]


class Pace:
    """Seconds by kind of cell.

    Args:
        store: whose finished cells, also of other grids, say how long their kind takes.
        guesses: seconds of kinds of which none is done.
    """

    def __init__(self, store: Store, guesses: Mapping[str, float] | None = None) -> None:
        self._guesses = dict(guesses or {})
        self._measured: dict[str, list[float]] = {}
        for state in store.states():
            if state.state == "done" and state.kind is not None and state.seconds > 0:
                self.add(state.kind, state.seconds)

    def add(self, kind: str, seconds: float) -> None:
        """Add a cell that is done."""
        self._measured.setdefault(kind, []).append(seconds)

    def is_measured(self, cell: Cell) -> bool:
        """Return whether a cell of this kind is done."""
        return cell.kind in self._measured

    def seconds(self, cell: Cell) -> float | None:
        """Return how long a cell of this kind takes, or None where nothing says so."""
        if cell.kind in self._measured:
            return statistics.fmean(self._measured[cell.kind])
        return self._guesses.get(cell.kind)


def last_row(cell: Cell) -> EpochProgress | None:
    """Return the last row of a run's metrics.jsonl: the epoch that it has behind it."""
    try:
        rows = read_bytes(RunFolder(cell.run).metrics).decode().splitlines()
        return parse_document(rows[-1], EpochProgress, "metrics.jsonl", infinite=True)
    except (UsageError, ValueError, IndexError):
        return None


def time_left(cells: Sequence[Cell], running: Mapping[str, float], pace: Pace, places: int) -> float | None:
    """Return the seconds until cells are done, or None where too little is known.

    Args:
        cells: that are not done.
        running: seconds since the start of each that runs, by id.
        pace: of their kinds; cells of a kind of which nothing is known count as the mean of the others of their verb.
        places: how many run at a time.
    """
    known: dict[str, float] = {}
    for cell in cells:
        left = _of_running(cell) if cell.id in running else None
        expected = pace.seconds(cell)
        if left is None and expected is not None:
            left = max(expected - running.get(cell.id, 0.0), 0.0)
        if left is not None:
            known[cell.id] = left
    by_verb: dict[str, list[float]] = {}
    for cell in cells:
        if cell.id in known and cell.id not in running:
            by_verb.setdefault(cell.verb, []).append(known[cell.id])
    total = 0.0
    for cell in cells:
        mean = (
            known.get(cell.id)
            if cell.id in known
            else statistics.fmean(by_verb[cell.verb])
            if cell.verb in by_verb
            else None
        )
        if mean is None:
            return None
        total += mean
    return max(total / places, max(known.values(), default=0.0))


def _of_running(cell: Cell) -> float | None:
    row = last_row(cell)
    if row is None or cell.epochs is None or cell.verb == "label":
        return None
    return row["seconds"] / row["epoch"] * max(cell.epochs - row["epoch"], 0)
