from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from preceptor.runner.progress import Bar, Display, Lines, Pace, Wording, choose_display, epoch_line, show_notes
from preceptor.training import EpochRow, Plan, TrainState
from preceptor.training.step import train_step
from small_training import ENGINE, made_batch, made_plan, made_state


def row(**fields: Any) -> EpochRow:
    values: dict[str, Any] = {
        "epoch": 2,
        "step": 6,
        "lr": 0.1,
        "loss": 0.5,
        "accuracy": 0.75,
        "terms": {"kd": 0.25, "cross_entropy": 0.1},
        "weights": {"kd": 2.0, "cross_entropy": 0.0},
        "weighted": {"kd": 0.5, "cross_entropy": 0.0},
        "validation": {"accuracy": 0.5},
        "seconds": 3.0,
        "images_per_second": 1234.5,
    }
    return EpochRow(**{**values, **fields})


def stepped(seconds: float = 0.5) -> tuple[TrainState, Plan]:
    state, plan = made_state(), made_plan()
    assert train_step(state, made_batch(), None, plan, ENGINE) is None
    state.count_step(seconds)
    return state, plan


def test_a_line_per_epoch() -> None:
    lines: list[str] = []
    display = Lines(Wording("student kd"), lines.append)
    state, plan = stepped()
    display.stepped(state, plan)
    display.epoch_ended(row(), state)
    display.epoch_ended(row(accuracy=None, validation={}, weighted={"kd": 0.5}), state)
    display.say("resumed at epoch 2, step 4")
    display.note("a choice")
    assert lines == [
        "epoch 2/2  loss 0.500 = 0.500 kd + 0.000 cross_entropy  acc 75.0  val 50.0  lr 0.1  1,234 img/s  took 0:00:03",
        "epoch 2/2  loss 0.500  acc -  lr 0.1  1,234 img/s  took 0:00:03",
        "resumed at epoch 2, step 4",
        "note: a choice",
    ]


def test_the_time_left_counts_what_this_process_has_done() -> None:
    now = [100.0]
    pace, (state, plan) = Pace(lambda: now[0]), stepped(seconds=2.0)
    assert pace.left == 0.0
    pace.look(state, plan)
    assert (pace.last_epoch, pace.steps, pace.left) == (2, 6, 10.0)  # a step took 2 s, 5 are left
    now[0], resumed = 104.0, made_state()
    state.count_step(4.0)
    assert pace.left == 12.0  # validation in it: 2 steps took 6 s
    assert epoch_line(row(epoch=1), pace, "samples").endswith("1,234 samples/s  left 0:00:12")
    for _ in range(4):
        resumed.count_step(1.0)
    pace.look(resumed, plan)  # of a run that had made 3 steps before
    assert pace.left == 2.0


def test_terms_that_are_subtracted_and_small_losses() -> None:
    line = epoch_line(row(loss=-0.00004, weighted={"ce": 0.1, "mcmi": -0.10004}), Pace(), "img")
    assert "loss -4.00e-05 = 0.100 ce - 0.100 mcmi  acc" in line


def test_of_one_run_among_many_only_the_last_epoch_is_written() -> None:
    lines: list[str] = []
    display = Lines(Wording("student of brier seed 1", is_brief=True), lines.append)
    display.stepped(*stepped())
    display.epoch_ended(row(epoch=1), made_state())
    assert lines == []
    display.epoch_ended(row(), made_state())
    assert lines[0].startswith("student of brier seed 1  epoch 2/2  loss ")


def test_a_bar_moves_with_the_steps_and_the_lines_stay() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    state, plan = stepped()
    with Bar(Wording("student [kd]"), console) as bar:
        bar.note("engine: cpu")
        bar.epoch_ended(row(), state)
        bar.stepped(state, plan)
        (task,) = bar._progress.tasks
        assert (task.completed, task.total) == (1, 6)
        numbers = task.fields["numbers"]
        state.count_step(0.5)
        bar.stepped(state, plan)
        assert task.completed == 1  # not more often than a few times a second
    assert numbers.startswith("1/2  acc ")
    assert " val 50.0  loss " in numbers
    assert numbers.endswith("16 img/s")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "note: engine: cpu" in shown
    assert "loss 0.500 = 0.500 kd" in shown
    assert "student [kd]" in shown


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
