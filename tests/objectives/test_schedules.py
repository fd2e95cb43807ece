from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preceptor.objectives.schedules import SCHEDULES, FadeIn, FadeOut, Linear, Schedule, StepAt, WarmUp
from preceptor.types import Progress
from vectors import GOLDEN

CASES = json.loads((GOLDEN / "teacher.json").read_text())["schedules"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden(case: dict[str, Any]) -> None:
    kind = SCHEDULES[case["name"]]
    schedule: Schedule = kind(case["alpha"]) if case["start"] is None else StepAt(case["alpha"], case["start"])
    epochs = case["epochs"]
    weights = [schedule(Progress(e, epochs, (e - 1) / epochs)) for e in range(case["first_epoch"], epochs + 1)]
    assert weights == pytest.approx(case["weight"], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "first", "middle", "last"),
    [("linear", 0.2, 1.0, 2.0), ("cosine", 0.3128689, 1.4142136, 2.0), ("cycle", 0.8717798, 1.7320508, 2.0)],
)
def test_first_middle_and_last_epoch_of_ten(name: str, first: float, middle: float, last: float) -> None:
    schedule = SCHEDULES[name](2.0)
    assert [schedule(Progress(e, 10, 0.0)) for e in (1, 5, 10)] == pytest.approx([first, middle, last], rel=1e-6)


def test_warm_up_counts_epochs_and_stays() -> None:
    weights = [WarmUp(1.0, 20)(Progress(e, 240, 0.0)) for e in (1, 10, 20, 21, 240)]
    assert weights == pytest.approx([0.05, 0.5, 1.0, 1.0, 1.0])


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.1, 0.13, 0.2, 0.5, 0.99])
def test_fades_hand_over_without_a_gap(fraction: float) -> None:
    progress = Progress(1, 1, fraction)
    fade_in, fade_out = FadeIn(1.0, 0.1, 0.2)(progress), FadeOut(1.0, 0.1, 0.2)(progress)
    assert fade_in + fade_out == pytest.approx(1.0)
    assert fade_in == pytest.approx(min(max((fraction - 0.1) / 0.1, 0), 1))


def test_a_fade_may_be_a_jump() -> None:
    assert [FadeIn(3.0, 0.5, 0.5)(Progress(1, 1, p)) for p in (0.49, 0.5)] == [0.0, 3.0]


@given(epochs=st.integers(1, 300), share=st.floats(0, 1, exclude_max=True))
def test_every_schedule_stays_between_0_and_its_peak(epochs: int, share: float) -> None:
    progress = Progress(1 + int(share * epochs), epochs, share)
    assert all(0 <= kind(2.5)(progress) <= 2.5 for kind in SCHEDULES.values())


@pytest.mark.parametrize(
    ("epochs", "expected"), [(240, [0.05, 0.1, 0.15]), (24, [0.5, 1.0, 1.0]), (40, [0.3, 0.6, 0.9]), (2, [1.0, 1.0])]
)
def test_times_below_1_are_shares_of_the_run(epochs: int, expected: list[float]) -> None:
    """By default the warm-up is that of DKD, 20 of 240 epochs, and the step comes after 50 of 240."""
    weights = [WarmUp(1.0)(Progress(e, epochs, 0.0)) for e in range(1, len(expected) + 1)]
    assert weights == pytest.approx(expected, rel=1e-5)
    assert [WarmUp(3.0)(Progress(e, 240, 0.0)) for e in range(1, 241)] == [
        WarmUp(3.0, 20)(Progress(e, 240, 0.0)) for e in range(1, 241)
    ]
    assert next(e for e in range(1, 241) if StepAt()(Progress(e, 240, 0.0))) == 51
    assert next(e for e in range(1, 101) if StepAt(start_at=0.29)(Progress(e, 100, 0.0))) == 30


def test_the_largest_weight_of_a_run() -> None:
    assert [WarmUp(2.0, 20).largest(epochs) for epochs in (2, 20, 30)] == pytest.approx([0.2, 2.0, 2.0])
    assert [StepAt(1.0, 5).largest(epochs) for epochs in (5, 6)] == [0.0, 1.0]
    assert all(kind(-2.5).largest(epochs) == pytest.approx(2.5) for kind in SCHEDULES.values() for epochs in (1, 2, 7))


@pytest.mark.parametrize("kind", [FadeIn, FadeOut])
def test_a_fade_takes_shares_only(kind: type[FadeIn | FadeOut]) -> None:
    with pytest.raises(ValueError, match=r"end: 10 is not in \[0, 1\]; it is a share of the run"):
        kind(1.0, 0.5, 10)
    with pytest.raises(ValueError, match=r"start: -1 is not in \[0, 1\]"):
        kind(1.0, -1.0, 1.0)


def test_a_warm_up_over_no_epochs_is_none() -> None:
    assert WarmUp(2.0, 0)(Progress(1, 10, 0.0)) == 2.0


def test_schedules_are_frozen_values() -> None:
    assert Linear(2.0) == Linear(2.0) != Linear(1.0)
    with pytest.raises(FrozenInstanceError):
        Linear().peak = 3.0  # type: ignore[misc]
