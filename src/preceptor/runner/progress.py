"""The progress of a run: a line per epoch that stays, and in a terminal a bar below it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from typing_extensions import Self

from preceptor.console import open_console
from preceptor.messages import as_clock
from preceptor.training import Callback, EpochRow, Plan, TrainState

__all__ = ["Bar", "Display", "Lines", "Pace", "Wording", "choose_display", "epoch_line", "show_notes"]

_REFRESH_SECONDS = 0.2


class Display(Callback):
    """The base of displays: shows nothing; a context that is open during the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def say(self, line: str) -> None:
        """Show a line."""

    def note(self, line: str) -> None:
        """Show a line that the user should read: a choice that was made, a warning."""
        self.say(f"note: {line}")


class Pace:
    """How long training has taken in this process, and how long the rest will take at this rate, validation included.

    Args:
        now: a clock, seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._state: TrainState | None = None
        self._start = self._first_step = 0.0
        self.last_epoch = self.steps = 0

    def look(self, state: TrainState, plan: Plan) -> None:
        """Look at a step; a stage before the run has a pace of its own."""
        if state is self._state:
            return
        self._state, self.last_epoch, self.steps = state, plan.last_epoch, plan.last_epoch * state.num_batches
        self._start, self._first_step = self._now() - state.step_seconds, state.progress.step - 1

    @property
    def left(self) -> float:
        """Seconds that are left; 0 before the first step."""
        if self._state is None:
            return 0.0
        step = self._state.progress.step
        return (self._now() - self._start) / (step - self._first_step) * (self.steps - step)


@dataclass(frozen=True, slots=True)
class Wording:
    """What a line is made of besides its numbers.

    Attributes:
        title: of the run, on the bar and on the line of a run that is shown briefly.
        unit: of what is counted per second: "img" or "samples".
        is_brief: whether the run is one of many: then nothing is said of each epoch but the last.
    """

    title: str
    unit: str = "img"
    is_brief: bool = False


class Lines(Display):
    """A plain line per epoch, for logs.

    Args:
        words: title, unit, brevity.
        write: gets each line.
    """

    def __init__(self, words: Wording, write: Callable[[str], None]) -> None:
        self._words = words
        self._write = write
        self._pace = Pace()

    def stepped(self, state: TrainState, plan: Plan) -> None:
        """Keep the pace."""
        self._pace.look(state, plan)

    def epoch_ended(self, row: EpochRow, state: TrainState) -> None:
        """Write the epoch's numbers."""
        if not self._words.is_brief:
            self._write(epoch_line(row, self._pace, self._words.unit))
        elif row.epoch == self._pace.last_epoch:
            self._write(f"{self._words.title}  {epoch_line(row, self._pace, self._words.unit)}")

    def say(self, line: str) -> None:
        """Write a line."""
        self._write(line)


class Bar(Display):
    """A rich progress bar below the same lines: epochs, accuracy, loss, rate, time left.

    Args:
        words: title, unit, brevity.
        console: a terminal.
    """

    def __init__(self, words: Wording, console: Console) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        self._progress = Progress(*columns, console=console, transient=not words.is_brief)
        self._task = self._progress.add_task(words.title, total=None, numbers="")
        self._words = words
        self._pace = Pace()
        self._validation = ""
        self._last_refresh = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stepped(self, state: TrainState, plan: Plan) -> None:
        """Move the bar, a few times a second."""
        self._pace.look(state, plan)
        total, step, now = self._pace.steps, state.progress.step, time.monotonic()
        if now - self._last_refresh < _REFRESH_SECONDS and step < total:
            return
        self._last_refresh = now
        numbers = (
            f"{state.progress.epoch}/{plan.last_epoch}  acc {_percent(state.metrics.accuracy)}{self._validation}"
            f"  loss {_loss(state.metrics.loss)}  {state.metrics.images_per_second:,.0f} {self._words.unit}/s"
        )
        self._progress.update(self._task, total=total, completed=step, numbers=numbers)

    def epoch_ended(self, row: EpochRow, state: TrainState) -> None:
        """Write the epoch's numbers above the bar."""
        if row.validation:
            self._validation = f" val {_percent(row.validation['accuracy'])}"
        if not self._words.is_brief:
            self.say(epoch_line(row, self._pace, self._words.unit))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, highlight=False, soft_wrap=True)


def epoch_line(row: EpochRow, pace: Pace, unit: str) -> str:
    """Return the numbers of an epoch: loss and the weighted terms that it is the sum of, accuracies in %, rates, time left.

    Args:
        row: of the epoch.
        pace: of the run.
        unit: of what is counted per second.
    """
    width = len(str(pace.last_epoch))
    validation = f"  val {_percent(row.validation['accuracy'])}" if row.validation else ""
    is_last = row.epoch >= pace.last_epoch
    time_words = f"took {as_clock(row.seconds)}" if is_last else f"left {as_clock(pace.left)}"
    return (
        f"epoch {row.epoch:>{width}}/{pace.last_epoch}  loss {_loss(row.loss)}{_added(row.weighted)}"
        f"  acc {_percent(row.accuracy)}{validation}  lr {row.lr:.3g}  {row.images_per_second:,.0f} {unit}/s  {time_words}"
    )


def _added(terms: Mapping[str, float]) -> str:
    """Return weighted terms as a sum; of a single one there is nothing to add."""
    if len(terms) < 2:
        return ""
    words = "".join(f" {'-' if value < 0 else '+'} {_loss(abs(value))} {name}" for name, value in terms.items())
    return " = " + words.removeprefix(" + ").lstrip()


def _loss(value: float) -> str:
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.2e}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def choose_display(title: str, *, unit: str = "img", show: bool, brief: bool = False) -> Display:
    """Return a bar for a terminal, lines for anything else, nothing unless `show`.

    Args:
        title: of the run.
        unit: of what is counted per second.
        show: whether to show anything.
        brief: whether the run is one of many.
    """
    if not show:
        return Display()
    console, words = open_console(stderr=True), Wording(title, unit, brief)
    if console.is_terminal:
        return Bar(words, console)
    return Lines(words, lambda line: console.print(line, highlight=False, soft_wrap=True))


def show_notes(lines: Sequence[str]) -> None:
    """Print notes on standard error, as a run does."""
    console = open_console(stderr=True)
    for line in lines:
        console.print(f"note: {line}", highlight=False, soft_wrap=True)
