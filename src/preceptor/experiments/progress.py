"""What a grid shows: a table that moves in a terminal, a line per event elsewhere; and its status."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from preceptor.experiments.cells import Cell
from preceptor.experiments.expected import Pace, last_row, time_left
from preceptor.experiments.schedule import CellStatus, Progress, status_of
from preceptor.experiments.store import Store
from preceptor.messages import as_clock

__all__ = ["Lines", "LiveTable", "Quiet", "status_table"]

_SHOWN: tuple[CellStatus, ...] = ("done", "running", "elsewhere", "waiting", "failed", "blocked")
_REFRESH_SECONDS = 1.0


class Quiet:
    """Shows nothing; the base of what shows something."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def started(self, cell: Cell, where: str) -> None:
        """Say nothing."""

    def ended(self, cell: Cell, stand: CellStatus, detail: str) -> None:
        """Say nothing."""

    def stopped(self, cell: Cell) -> None:
        """Say nothing."""

    def refresh(self, progress: Progress) -> None:
        """Show nothing."""


class Lines(Quiet):
    """A line per event, for logs.

    Args:
        cells: of the grid.
        console: to write to.
    """

    def __init__(self, cells: Sequence[Cell], console: Console) -> None:
        self._total = len(cells)
        self._done = 0
        self._is_counted = False
        self._console = console
        self._began: dict[str, float] = {}

    def started(self, cell: Cell, where: str) -> None:
        """Write what starts."""
        self._began[cell.id] = time.monotonic()
        self._write(f"start    {cell.id}  {cell.name}  ({where})")

    def ended(self, cell: Cell, stand: CellStatus, detail: str) -> None:
        """Write how it ended."""
        if stand == "done":
            self._done += 1
            took = f"  {as_clock(time.monotonic() - self._began[cell.id])}" if cell.id in self._began else ""
            self._write(f"done     {cell.id}  {cell.name}{took}  [{self._done} of {self._total}]")
        else:
            word = {"waiting": "again", "elsewhere": "wait"}.get(stand, stand)
            self._write(f"{word:8} {cell.id}  {cell.name}: {detail}")

    def stopped(self, cell: Cell) -> None:
        """Write that it has stopped."""
        self._write(f"stopped  {cell.id}  {cell.name}")

    def refresh(self, progress: Progress) -> None:
        """Count once what was done before."""
        if not self._is_counted:
            self._is_counted = True
            self._done = sum(stand == "done" for stand in progress.stands.values())

    def _write(self, line: str) -> None:
        text = f"{datetime.now():%H:%M:%S}  {line}"
        self._console.print(text, highlight=False, soft_wrap=True)


class LiveTable(Quiet):
    """A table of what runs, with counts and the time left; what fails stays above it.

    Args:
        cells: of the grid.
        pace: of their kinds.
        places: how many run at a time.
        console: a terminal.
    """

    def __init__(self, cells: Sequence[Cell], pace: Pace, places: int, console: Console) -> None:
        self._cells = {cell.id: cell for cell in cells}
        self._pace = pace
        self._places = places
        self._live = Live(console=console, auto_refresh=False)
        self._began: dict[str, float] = {}
        self._next = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, cell: Cell, where: str) -> None:
        """Remember when."""
        self._began[cell.id] = time.monotonic()

    def ended(self, cell: Cell, stand: CellStatus, detail: str) -> None:
        """Learn from what is done; print what is not."""
        if stand == "done" and cell.id in self._began:
            self._pace.add(cell.kind, time.monotonic() - self._began[cell.id])
        elif stand != "done":
            word = "killed, again" if stand == "waiting" else stand
            self._live.console.print(f"{word}: {cell.id}  {cell.name}: {detail}", highlight=False)

    def refresh(self, progress: Progress) -> None:
        """Draw the table, once a second."""
        now = time.monotonic()
        if now < self._next and set(progress.stands.values()) - {"done", "failed", "blocked"}:
            return
        self._next = now + _REFRESH_SECONDS
        self._live.update(self._drawn(progress, now), refresh=True)

    def _drawn(self, progress: Progress, now: float) -> RenderableType:
        running = {cell: now - since for cell, since in progress.since.items()}
        open_cells = [
            self._cells[key] for key, stand in progress.stands.items() if stand in {"waiting", "running", "elsewhere"}
        ]
        left = time_left(open_cells, running, self._pace, self._places) if open_cells else 0.0
        counts = _counts(progress.stands)
        line = Text(f"{counts}   left {'unknown yet' if left is None else as_clock(left)}")
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("running", "", "epoch", "val acc %", "for"):
            table.add_column(
                heading, no_wrap=heading != "", justify="right" if heading in {"epoch", "val acc %", "for"} else "left"
            )
        for key, seconds in running.items():
            table.add_row(*_running_row(self._cells[key], seconds))
        return Group(table, line) if running else line


def status_table(cells: Sequence[Cell], store: Store) -> RenderableType:
    """Return where the cells of a grid stand: counts, those that run, and those that failed with their last words."""
    stands = status_of(cells, store)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for cell in cells:
        stand, state = stands[cell.id], store.state(cell)
        if stand == "running":
            where = f"{state.where}, process {state.pid} on {state.host}"
            table.add_row("running", cell.id, cell.name, f"{_epoch(cell)}  {where}")
        elif stand == "failed":
            table.add_row("failed", cell.id, cell.name, Text(f"{state.error}  ({store.log(cell)})"))
    return Group(table, Text(_counts(stands))) if table.row_count else Text(_counts(stands))


def _counts(stands: Mapping[str, CellStatus]) -> str:
    counts = Counter(stands.values())
    words = [f"{stand} {counts[stand]}" for stand in _SHOWN if counts[stand] or stand == "done"]
    return f"{'   '.join(words)}   of {len(stands)}"


def _running_row(cell: Cell, seconds: float) -> tuple[str, str, str, str, str]:
    row = last_row(cell)
    accuracy = None if row is None else row.get("validation", {}).get("accuracy")
    return cell.id, cell.name, _epoch(cell), "" if accuracy is None else f"{100 * accuracy:.1f}", as_clock(seconds)


def _epoch(cell: Cell) -> str:
    row = last_row(cell)
    if row is None:
        return ""
    return f"{row['epoch']}" if cell.epochs is None else f"{row['epoch']} / {cell.epochs}"
