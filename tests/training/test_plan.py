"""What a plan says is what `fit` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.training import LearningRate, RateSchedule, fit
from small_training import ENGINE, made_files, made_loader, made_plan, made_state


def test_training_ends_at_the_last_epoch_of_a_longer_schedule(tmp_path: Path) -> None:
    rate = LearningRate(0.1, RateSchedule(name="step", milestones=(0.5,)))
    plan = made_plan(epochs=4, last_epoch=3, learning_rate=rate)
    files, state = made_files(tmp_path), made_state(plan=plan)
    result = fit(state, made_loader(), None, plan, ENGINE, evaluate=dict, files=files)
    rows = files.metrics.rows()  # type: ignore[attr-defined]
    assert [row["lr"] for row in rows] == pytest.approx([0.1, 0.1, 0.01])
    assert [row["step"] for row in rows] == [3, 6, 9]
    assert result.selected_epoch == 3


def test_weights_are_kept_every_nth_epoch(tmp_path: Path) -> None:
    plan = made_plan(epochs=5, keep_every=2)
    fit(made_state(plan=plan), made_loader(), None, plan, ENGINE, evaluate=dict, files=made_files(tmp_path))
    kept = sorted(path.name for path in (tmp_path / "checkpoint").glob("epoch_*"))
    assert kept == ["epoch_0002.safetensors", "epoch_0004.safetensors"]


def test_by_default_the_last_weights_count_and_a_batch_is_one_pass() -> None:
    plan = made_plan()
    assert (plan.selection.rule, plan.averaging.name, plan.clip_norm, plan.accumulate) == ("last", "none", None, 1)
