"""What a person sees of a run: a bar in a terminal, a line an epoch elsewhere, TensorBoard on request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from preceptor.errors import UsageError
from preceptor.training.callbacks import EpochRow
from preceptor.training.checkpoint import TrainProgress
from preceptor.training.metrics import RunningMetrics
from preceptor.training.plan import Plan

__all__ = ["Bar", "Display", "Lines", "Silent", "TensorBoard", "Together", "display", "show_notes"]

_REFRESH_SECONDS = 0.2


class Display(Protocol):
    """A watcher that is opened before a run and closed after it."""

    def __enter__(self) -> Display: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def stepped(self, position: TrainProgress, batches: int, plan: Plan, metrics: RunningMetrics) -> None: ...
    def epoch_ended(self, row: EpochRow) -> None: ...
    def note(self, line: str) -> None: ...


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def stepped(self, position: TrainProgress, batches: int, plan: Plan, metrics: RunningMetrics) -> None:
        """Show nothing."""

    def epoch_ended(self, row: EpochRow) -> None:
        """Show nothing."""

    def note(self, line: str) -> None:
        """Show nothing."""


class Lines(Silent):
    """A plain line an epoch, for logs."""

    def __init__(self, title: str, write: Callable[[str], None]) -> None:
        self._title = title
        self._write = write

    def epoch_ended(self, row: EpochRow) -> None:
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


class Bar(Silent):
    """A rich progress bar: epochs, loss terms, accuracy, images/s, time left."""

    def __init__(self, title: str, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task(title, total=None, numbers="")
        self._validation = ""
        self._shown = 0.0

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stepped(self, position: TrainProgress, batches: int, plan: Plan, metrics: RunningMetrics) -> None:
        """Move the bar, a few times a second."""
        total = plan.last_epoch * batches
        now = time.monotonic()
        if now - self._shown < _REFRESH_SECONDS and position.step < total:
            return
        self._shown = now
        terms = " ".join(f"{name} {value:.3g}" for name, value in metrics.term_means.items())
        numbers = (
            f"{position.epoch}/{plan.last_epoch}  acc {_percent(metrics.accuracy, 1)}{self._validation}  {terms}"
            f"  {metrics.images_per_second:,.0f} img/s"
        )
        self._progress.update(self._task, total=total, completed=position.step, numbers=numbers)

    def epoch_ended(self, row: EpochRow) -> None:
        """Remember the validation accuracy."""
        if row.validation:
            self._validation = f" val {100 * row.validation['accuracy']:.1f}"

    def note(self, line: str) -> None:
        """Print a note above the bar."""
        self._progress.console.print(f"note: {line}", markup=False, highlight=False)


class TensorBoard(Silent):
    """Writes each epoch as TensorBoard events."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (an extra; slow to import)
        except ImportError as error:
            raise UsageError("tensorboard: is not installed; pip install 'preceptor[tensorboard]'") from error
        self._writer = SummaryWriter(str(folder))  # type: ignore[no-untyped-call]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()  # type: ignore[no-untyped-call]

    def epoch_ended(self, row: EpochRow) -> None:
        """Write the epoch's scalars."""
        scalars = {
            "train/loss": row.loss,
            **({} if row.accuracy is None else {"train/accuracy": row.accuracy}),
            "lr": row.lr,
            "images_per_second": row.images_per_second,
            **{f"terms/{name}": value for name, value in row.terms.items()},
            **{f"validation/{name}": value for name, value in row.validation.items()},
        }
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, row.epoch)  # type: ignore[no-untyped-call]


class Together:
    """Several displays as one."""

    def __init__(self, displays: Sequence[Display]) -> None:
        self._displays = displays

    def __enter__(self) -> Together:
        for shown in self._displays:
            shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for shown in self._displays:
            shown.__exit__(kind, error, trace)

    def stepped(self, position: TrainProgress, batches: int, plan: Plan, metrics: RunningMetrics) -> None:
        """Tell all."""
        for shown in self._displays:
            shown.stepped(position, batches, plan, metrics)

    def epoch_ended(self, row: EpochRow) -> None:
        """Tell all."""
        for shown in self._displays:
            shown.epoch_ended(row)

    def note(self, line: str) -> None:
        """Tell all."""
        for shown in self._displays:
            shown.note(line)


def _percent(share: float | None, digits: int) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f}"


def display(title: str, *, show: bool) -> Display:
    """Return the display that fits where output goes."""
    if not show:
        return Silent()
    console = Console(stderr=True)
    if console.is_terminal:
        return Bar(title, console)
    return Lines(title, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))


def show_notes(lines: Sequence[str]) -> None:
    """Print lines on standard error as the notes of a run are."""
    console = Console(stderr=True)
    for line in lines:
        console.print(f"note: {line}", markup=False, highlight=False, soft_wrap=True)
