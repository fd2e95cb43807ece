from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.amp import GradScaler

import preceptor
from preceptor import models
from preceptor.errors import RunError
from preceptor.objectives.base import Objective
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.training import Engine, TrainState
from preceptor.training.checkpoint import load_checkpoint
from preceptor.training.step import train_step
from preceptor.types import Batch, Step

SMALL = {"name": "digits", "limit": 200, "test_limit": 50}


class Exploding(Objective):
    """A term that stops being a number at a given share of the run."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = at

    def loss(self, step: Step) -> Tensor:
        return step.student.logits.mean() * (math.nan if step.progress.fraction >= self.at else 0.0)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    objective = Sum(cross_entropy=(1.0, CrossEntropy()), exploding=(1.0, Exploding(at=0.7)))
    with pytest.raises(RunError, match=r"step \d+: term exploding = nan is not finite; the last good checkpoint is"):
        preceptor.teach(
            data=SMALL, model="convnet_s", objective=objective, epochs=4, out=tmp_path / "run", progress=False
        )
    state = load_checkpoint(tmp_path / "run" / "checkpoint" / "last.pt", ["progress", "learner"])
    assert state["progress"][0] == 4
    assert all(torch.isfinite(value).all() for value in state["learner"].values())
    assert not (tmp_path / "run" / "result.json").exists()


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    """One step of an absurd rate makes weights infinite while the loss before it was fine."""
    with pytest.raises(RunError, match=r"not finite|no longer finite"):
        preceptor.teach(
            data=SMALL,
            model="mlp",
            epochs=3,
            out=tmp_path / "run",
            optim={"lr": 1e38},
            schedule="constant",
            progress=False,
        )
    assert not (tmp_path / "run" / "checkpoint" / "last.pt").exists()


class Steep(Objective):
    """A term of a common size whose gradient no scale makes small enough for fp16."""

    def loss(self, step: Step) -> Tensor:
        logits = step.student.logits
        return (logits - logits.detach()).float().mean() * 1e30 * 1e30


def test_gradients_that_overflow_at_every_scale_end_the_run(tmp_path: Path) -> None:
    objective = Sum(cross_entropy=(1.0, CrossEntropy()), steep=(1.0, Steep()))
    with pytest.raises(RunError, match=r"gradients overflow, however small .*; precision=fp32 may help"):
        preceptor.teach(
            data=SMALL,
            model="mlp",
            objective=objective,
            precision="fp16",
            epochs=1,
            batch_size=8,
            out=tmp_path / "run",
            progress=False,
        )


def test_a_run_in_fp16_resumes_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale of its loss grows every other step here, until gradients overflow, and is halved then."""
    common: dict[str, Any] = {
        "data": SMALL,
        "model": "mlp",
        "precision": "fp16",
        "epochs": 2,
        "batch_size": 16,
        "progress": False,
    }
    scales: list[float] = []

    def step(state: TrainState, batch: Batch, **keys: Any) -> str | None:
        scales.append(state.optimizer.loss_scale)
        if len(scales) == stop:
            raise KeyboardInterrupt
        return train_step(state, batch, **keys)

    def loss_scaler(_: Engine) -> GradScaler:
        return GradScaler("cpu", growth_interval=2)

    monkeypatch.setattr("preceptor.training.loop.train_step", step)
    monkeypatch.setattr(Engine, "loss_scaler", loss_scaler)
    stop = 0
    preceptor.teach(**common, out=tmp_path / "whole")
    expected, scales[:] = [*scales], []
    assert any(later < earlier for earlier, later in pairwise(expected))
    stop = 16
    with pytest.raises(KeyboardInterrupt):
        preceptor.teach(**common, checkpoint_every_steps=1, out=tmp_path / "resumed")
    preceptor.teach(**common, checkpoint_every_steps=1, out=tmp_path / "resumed", resume=True)
    assert [*scales[:15], *scales[16:]] == expected
    one, other = (preceptor.load(tmp_path / name).state_dict() for name in ("whole", "resumed"))
    assert all(value.equal(other[name]) for name, value in one.items())


@pytest.mark.parametrize("rule", ["best_val_accuracy", "best_val_nll", "best_val_brier"])
def test_the_best_epoch_on_validation_is_the_result(tmp_path: Path, rule: str) -> None:
    result = preceptor.teach(
        data=SMALL,
        model="convnet_s",
        epochs=4,
        out=tmp_path / "run",
        progress=False,
        stop_at=rule,  # type: ignore[arg-type]
        keep_every=1,
    )
    key, sign = {"best_val_accuracy": ("accuracy", -1), "best_val_nll": ("nll", 1), "best_val_brier": ("brier", 1)}[
        rule
    ]
    scores = [sign * row["validation"][key] for row in result.record.history]
    assert result.record.selected_epoch == 1 + scores.index(min(scores))
    twin = models.create("convnet_s", num_classes=10, input_shape=(1, 8, 8))
    kept = tmp_path / "run" / "checkpoint" / f"epoch_{result.record.selected_epoch:04d}.safetensors"
    models.load_weights(twin, kept)
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name])


def test_stopping_early_truncates_or_rescales_the_schedule(tmp_path: Path) -> None:
    rates = {}
    for mode in ("truncate", "rescaled_schedule"):
        result = preceptor.teach(
            data=SMALL,
            model="convnet_s",
            epochs=8,
            out=tmp_path / mode,
            stop_at=4,
            stop_mode=mode,  # type: ignore[arg-type]
            schedule="step",
            progress=False,
        )
        rates[mode] = [row["lr"] for row in result.record.history]
    assert rates["truncate"] == pytest.approx([0.1] * 4)
    assert rates["rescaled_schedule"] == pytest.approx([0.1, 0.1, 0.01, 0.001])  # round(0.625 * 4) = 2, 3, 4
