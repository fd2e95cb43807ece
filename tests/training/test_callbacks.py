from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import preceptor
from preceptor.data.augment.regions import Region, RegionSearch
from preceptor.divergences import soft_kl
from preceptor.objectives.base import Objective
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.training.callbacks import EpochRow, NearChance, RegionSearches, SlowFirstStep
from preceptor.training.metrics import RunningMetrics
from preceptor.training.progress import TrainProgress
from preceptor.types import Batch, Outputs, Step
from small_training import CLASSES, ENGINE, made_batch, made_plan, made_state

SMALL = {"name": "digits", "limit": 200, "test_limit": 50}


def test_a_row_of_an_epoch_as_it_is_written() -> None:
    terms, weights, weighted, validation = {"kd": 0.6}, {"kd": 0.9}, {"kd": 0.54}, {"nll": 0.4}
    row = EpochRow(2, 6, 0.1, 0.54, 0.75, terms, weights, weighted, validation, 3.0, 100.0, {"region": [1.0, 4]})
    assert row.as_dict() == {
        "epoch": 2,
        "step": 6,
        "lr": 0.1,
        "train": {"loss": 0.54, "accuracy": 0.75, "terms": terms, "weights": weights, "weighted": weighted},
        "validation": {"nll": 0.4},
        "seconds": 3.0,
        "images_per_second": 100.0,
        "region": [1.0, 4],
    }


@pytest.mark.parametrize(
    ("step", "correct", "rows", "warns"),
    [
        (60, 0.34, 600, True),
        (60, 0.60, 600, False),  # has begun to learn
        (60, 0.34, 400, False),  # too few rows
        (61, 0.34, 600, False),  # looked at once only
    ],
)
def test_accuracy_near_chance_after_a_tenth_of_all_steps(step: int, correct: float, rows: int, warns: bool) -> None:
    lines: list[str] = []
    plan = made_plan(epochs=200)  # of 3 steps each
    state = made_state(plan=plan)
    state.progress = TrainProgress(step=step)
    state.metrics = RunningMetrics(["ce"], torch.tensor([rows, 1.0, 0.0, correct * rows, rows, 0, 0, 0]), CLASSES)
    NearChance(lines.append).stepped(state, plan)
    assert [line.startswith("warning: training accuracy is 34.0 % after a tenth") for line in lines] == [True] * warns


def test_the_first_step_of_a_compiled_run_is_timed_once() -> None:
    lines: list[str] = []
    callback, state, plan = SlowFirstStep(lines.append), made_state(), made_plan()
    for seconds in (12.5, 0.1):
        state.count_step(seconds)
        callback.stepped(state, plan)
    assert lines == ["engine: the first step, which compiles, took 12.5 s"]


def test_the_region_is_searched_on_the_student_in_eval_mode_and_kept_in_checkpoints() -> None:
    moves: list[Region] = []
    lines: list[str] = []
    batch, state = made_batch(), made_state()

    def mixed(region: Region, epoch: int) -> Iterable[Batch]:
        return [batch]

    def teacher(batch: Batch) -> Outputs:
        return Outputs(batch.inputs[:, :CLASSES])

    def callback() -> RegionSearches:
        search = RegionSearch([(0.5, 2)], (1.0, 4), every=1, temperature=4.0, mixed_batches=mixed, mix_in=moves.append)
        return RegionSearches(search, teacher, ENGINE, lines.append)

    searches = callback()
    state.learner.train()
    searches.epoch_started(state)
    assert lines == []  # the first epoch needs no search
    assert searches.columns() == {"region": [1.0, 4]}
    state.progress = TrainProgress(epoch=2)
    searches.epoch_started(state)
    assert state.learner.training
    student = state.learner.network.model.eval()(batch.inputs)
    disagreement = soft_kl(student.detach(), batch.inputs[:, :CLASSES], 4.0).mean()
    assert lines == [f"epoch 2: mixing with alpha 0.5, patches of 2, where KL is {float(disagreement):.3g}"]
    resumed = callback()
    resumed.load_state_dict({})
    resumed.load_state_dict(searches.state_dict())
    assert moves == [(0.5, 2), (0.5, 2)]
    assert resumed.columns() == {"region": [0.5, 2]}


class Flat(Objective):
    """Has a gradient, and teaches nothing."""

    def loss(self, step: Step) -> Tensor:
        return 1.0 + step.student.logits.float().square().mean()


def test_a_run_that_has_not_begun_to_learn_after_a_tenth_of_its_steps_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"data": "digits", "model": "mlp", "epochs": 8, "batch_size": 16, "schedule": "constant"}
    preceptor.teach(objective=Flat(), out=tmp_path / "flat", **settings)  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert said.count("% after a tenth of all steps, near chance for 10 classes") == 1


def test_a_term_that_hardly_counts_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objective = Sum(cross_entropy=(1.0, CrossEntropy()), flat=(1e-6, Flat()))
    preceptor.teach(data=SMALL, model="convnet_s", objective=objective, epochs=2, out=tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("warning: term flat made") == 1
    assert "% of the loss in epoch 1; is its weight (1e-06) intended?" in said
    assert "term cross_entropy made" not in said
