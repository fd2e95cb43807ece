from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor import models
from preceptor.errors import RunError, UsageError
from preceptor.objectives.base import Objective
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.training.checkpoint import load_checkpoint
from preceptor.types import Step

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


def test_a_finished_run_is_given_back_not_repeated(tmp_path: Path) -> None:
    first = preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False)
    written = (tmp_path / "run" / "result.json").stat().st_mtime_ns
    again = preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False, resume=True)
    assert (tmp_path / "run" / "result.json").stat().st_mtime_ns == written
    assert again.metrics == first.metrics
    with pytest.raises(UsageError, match="holds a finished run; overwrite=True"):
        preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = preceptor.teach(
            data=SMALL, model="convnet_s", epochs=1, out=tmp_path / name, seed=seed, progress=False
        )
        weights.append(result.model.state_dict()["classifier.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_bf16_trains_too(tmp_path: Path) -> None:
    result = preceptor.teach(
        data="digits", model="convnet_m", epochs=4, out=tmp_path / "run", precision="bf16", progress=False
    )
    assert result.metrics.accuracy > 0.8
    assert result.record.precision == "bf16"


class Lazy(nn.Module):
    """A network in which batch-norm and dropout make modes matter."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Dropout(0.5), nn.Linear(32, 10)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.body(inputs)
        return logits


def test_the_teacher_stays_as_it_was(tmp_path: Path) -> None:
    teacher = Lazy()
    teacher.train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    preceptor.distill(data=SMALL, teacher=teacher, model="convnet_s", epochs=2, out=tmp_path / "run", progress=False)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


class Flat(Objective):
    """Has a gradient, and teaches nothing."""

    def loss(self, step: Step) -> Tensor:
        return 1.0 + step.student.logits.float().square().mean()


def test_a_run_that_has_not_begun_to_learn_after_a_tenth_of_its_steps_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"data": "digits", "model": "convnet_m", "epochs": 8, "batch_size": 16, "schedule": "constant"}
    preceptor.teach(objective=Flat(), out=tmp_path / "flat", **settings)  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert said.count("% after a tenth of all steps, near chance for 10 classes") == 1
    preceptor.teach(out=tmp_path / "fine", **settings)  # type: ignore[arg-type]
    assert "near chance" not in capsys.readouterr().err
    preceptor.teach(data="digits", model="convnet_s", epochs=3, out=tmp_path / "short")  # a few steps are no evidence
    assert "near chance" not in capsys.readouterr().err


def test_a_term_that_hardly_counts_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objective = Sum(cross_entropy=(1.0, CrossEntropy()), flat=(1e-6, Flat()))
    preceptor.teach(data=SMALL, model="convnet_s", objective=objective, epochs=2, out=tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("warning: term flat made") == 1
    assert "% of the loss in epoch 1; is its weight (1e-06) intended?" in said
    assert "term cross_entropy made" not in said


def test_dot_and_a_clipped_norm_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"clip_norm: 1\.0 cannot be used with optim=dot"):
        preceptor.teach(
            data=SMALL, model="convnet_s", optim="dot", clip_norm=1.0, epochs=1, out=tmp_path / "run", progress=False
        )
