"""The progress of a run: a bar in a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from typing_extensions import Self

from preceptor.console import open_console
from preceptor.training import Callback, EpochRow, Plan, TrainState

__all__ = ["Bar", "Display", "Lines", "choose_display", "show_notes"]

_REFRESH_SECONDS = 0.2


class Display(Callback):
    """The base of displays: shows nothing; a context that is open during the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def note(self, line: str) -> None:
        """Show a line."""


class Lines(Display):
    """A plain line per epoch, for logs."""

    def __init__(self, title: str, write: Callable[[str], None]) -> None:
        self._title = title
        self._write = write

    def epoch_ended(self, row: EpochRow, state: TrainState) -> None:
        """Write the epoch's numbers."""
        terms = "  ".join(f"{name} {value:.4g}" for name, value in row.terms.items())
        validation = f"  val acc {100 * row.validation['accuracy']:.2f}" if row.validation else ""
        self._write(
            f"{self._title}  epoch {row.epoch}  loss {row.loss:.4g}  [{terms}]  acc {_percent(row.accuracy, 2)}{validation}"
            f"  {row.images_per_second:,.0f} img/s  {row.seconds:.1f} s"
        )

    def note(self, line: str) -> None:
        """Write a note."""
        self._write(f"note: {line}")


class Bar(Display):
    """A rich progress bar: epochs, loss terms, accuracy, images/s, time left."""

    def __init__(self, title: str, console: Console) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task(title, total=None, numbers="")
        self._validation = ""
        self._last_refresh = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stepped(self, state: TrainState, plan: Plan) -> None:
        """Move the bar, a few times a second."""
        total, step, now = plan.last_epoch * state.num_batches, state.progress.step, time.monotonic()
        if now - self._last_refresh < _REFRESH_SECONDS and step < total:
            return
        self._last_refresh = now
        terms = " ".join(f"{name} {value:.3g}" for name, value in state.metrics.term_means.items())
        numbers = (
            f"{state.progress.epoch}/{plan.last_epoch}  acc {_percent(state.metrics.accuracy, 1)}{self._validation}  {terms}"
            f"  {state.metrics.images_per_second:,.0f} img/s"
        )
        self._progress.update(self._task, total=total, completed=step, numbers=numbers)

    def epoch_ended(self, row: EpochRow, state: TrainState) -> None:
        """Keep the validation accuracy for the bar."""
        if row.validation:
            self._validation = f" val {100 * row.validation['accuracy']:.1f}"

    def note(self, line: str) -> None:
        """Print a note above the bar."""
        self._progress.console.print(f"note: {line}", highlight=False)


def _percent(share: float | None, digits: int) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f}"


def choose_display(title: str, *, show: bool) -> Display:
    """Return a bar for a terminal, lines for anything else, nothing unless `show`."""
    if not show:
        return Display()
    console = open_console(stderr=True)
    if console.is_terminal:
        return Bar(title, console)
    return Lines(title, lambda line: console.print(line, highlight=False, soft_wrap=True))


def show_notes(lines: Sequence[str]) -> None:
    """Print notes on standard error, as a run does."""
    console = open_console(stderr=True)
    for line in lines:
        console.print(f"note: {line}", highlight=False, soft_wrap=True)
