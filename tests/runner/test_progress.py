from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from preceptor.runner.progress import Bar, Display, Lines, choose_display, show_notes
from preceptor.training import EpochRow
from preceptor.training.step import train_step
from small_training import ENGINE, made_batch, made_plan, made_state


def row(**fields: Any) -> EpochRow:
    values: dict[str, Any] = {
        "epoch": 2,
        "step": 6,
        "lr": 0.1,
        "loss": 0.5,
        "accuracy": 0.75,
        "terms": {"kd": 0.25},
        "weights": {"kd": 2.0},
        "validation": {"accuracy": 0.5},
        "seconds": 3.0,
        "images_per_second": 1234.5,
    }
    return EpochRow(**{**values, **fields})


def test_a_line_per_epoch() -> None:
    lines: list[str] = []
    display = Lines("student kd", lines.append)
    display.epoch_ended(row(), made_state())
    display.epoch_ended(row(epoch=3, accuracy=None, validation={}), made_state())
    display.note("engine: cpu")
    assert lines == [
        "student kd  epoch 2  loss 0.5  [kd 0.25]  acc 75.00  val acc 50.00  1,234 img/s  3.0 s",
        "student kd  epoch 3  loss 0.5  [kd 0.25]  acc -  1,234 img/s  3.0 s",
        "note: engine: cpu",
    ]


def test_a_bar_moves_with_the_steps() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    state, plan = made_state(), made_plan()
    with Bar("student kd", console) as bar:
        bar.note("engine: cpu")
        bar.epoch_ended(row(), state)
        assert train_step(state, made_batch(), None, plan, ENGINE) is None
        state.count_step(0.5)
        bar.stepped(state, plan)
        (task,) = bar._progress.tasks
        assert (task.completed, task.total) == (1, 6)
        numbers = task.fields["numbers"]
        state.count_step(0.5)
        bar.stepped(state, plan)
        assert task.completed == 1  # not more often than a few times a second
    assert numbers.startswith("1/2  acc ")
    assert " val 50.0  cross_entropy " in numbers
    assert numbers.endswith("16 img/s")
    assert "note: engine: cpu" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_display_fits_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = choose_display("run", show=False)
    assert type(quiet) is Display
    with quiet:
        quiet.note("never shown")
    display = choose_display("run", show=True)  # the tests' standard error is no terminal
    assert isinstance(display, Lines)
    display.note("[red] brackets are no markup")
    show_notes(["one", "two"])
    assert capsys.readouterr().err == "note: [red] brackets are no markup\nnote: one\nnote: two\n"
