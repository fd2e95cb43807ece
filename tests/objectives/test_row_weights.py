"""One mechanism: weights by entropy and by reliability, before any loss that is a mean over rows."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Objective
from preceptor.objectives.distill import METHODS, TTM
from preceptor.objectives.row_weights import (
    check_row_weights,
    entropy_weights,
    mean_of_rows,
    reliability_weights,
    weigh_rows,
)
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import closed_form_logits, softmax_rows

WEIGHTED = [key for key, entry in METHODS.items() if "row_weights" in inspect.signature(entry.objective).parameters]


def test_the_mean_of_weighted_rows_and_of_none() -> None:
    rows = torch.tensor([1.0, 2.0, 6.0])
    assert mean_of_rows(rows).item() == 3
    assert mean_of_rows(rows, torch.tensor([3.0, 0.0, 1.0])).item() == 3
    assert mean_of_rows(rows[:0]).item() == 0
    with pytest.raises(ValueError, match=r"row_weights: shape \(2,\), expected \(3,\)"):
        inspect.unwrap(mean_of_rows)(rows, torch.ones(2))


def test_entropy_weights_by_definition() -> None:
    student, teacher, _ = closed_form_logits()
    for bound in (None, 7.0):
        found = entropy_weights(student, teacher, temperature=2.0, entropy_bound=bound).tolist()
        for row in range(4):
            mine, its = (-sum(p * math.log(p) for p in softmax_rows(z, 2.0)[row]) for z in (student, teacher))
            assert found[row] == pytest.approx(its * (1 + mine / (bound or math.log(5))) / 2)


def test_reliability_by_definition() -> None:
    _, teacher, _ = closed_form_logits()
    for row, value in enumerate(reliability_weights(teacher, temperature=2.0, floor=0.3, power=2.0).tolist()):
        surety = (max(softmax_rows(teacher, 2.0)[row]) - 0.2) / 0.8
        assert value == pytest.approx(0.3 + 0.7 * surety**2)


def test_extreme_logits_and_ruled_out_classes_are_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [0.0, 1.0, -math.inf]])
    for weights in (entropy_weights(logits, logits), reliability_weights(logits)):
        assert torch.isfinite(weights).all()
        assert not weights.requires_grad


def loss_of(objective: Objective, step: Step) -> torch.Tensor:
    context = BuildContext(4, 5, step.student, step.teacher)
    objective.build(context)
    return objective.loss(step)


@pytest.mark.parametrize("weighting", ["entropy", "reliability"])
@pytest.mark.parametrize("num_labelled", [4, 2])
@pytest.mark.parametrize("key", WEIGHTED)
def test_every_loss_of_rows_takes_them(key: str, weighting: Any, num_labelled: int) -> None:
    """Weighted, it is the mean over rows of weight times the loss of the row alone."""
    student, teacher, labels = closed_form_logits()
    batch = Batch(torch.zeros(4, 1), labels[:num_labelled], torch.arange(4), View("none", 0, 1))
    step = Step(batch, Outputs(student), Outputs(teacher), nn.Identity(), Progress(1, 2, 0.0))
    plain, weighted = METHODS[key].objective(), METHODS[key].objective(row_weights=weighting)
    temperature = 1 / plain.exponent if isinstance(plain, TTM) else getattr(plain, "temperature", 4.0)
    temperature = 4.0 if key == "ctkd" else temperature
    weights = weigh_rows(weighting, student, teacher, temperature)
    assert weights is not None
    rows = torch.stack([loss_of(plain, step.rows(row, row + 1)) for row in range(4)])
    expected = (weights * rows).mean().item()
    assert loss_of(weighted, step).item() == pytest.approx(expected, rel=1e-5)


def test_which_they_are() -> None:
    assert set(WEIGHTED) == {"kd", "dkd", "logit_std", "nkd", "wsld", "ctkd", "ttm"}


def test_errors() -> None:
    with pytest.raises(ValueError, match="row_weights: unknown 'rank'; there are equal, entropy, reliability"):
        inspect.unwrap(check_row_weights)("rank")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="entropy_bound: 0 is not above 0"):
        entropy_weights(torch.zeros(1, 2), torch.zeros(1, 2), entropy_bound=0)
    with pytest.raises(ValueError, match=r"floor: 2 is not in \[0, 1\]"):
        reliability_weights(torch.zeros(1, 2), floor=2)
    with pytest.raises(ValueError, match="power: 0 is not above 0"):
        reliability_weights(torch.zeros(1, 2), power=0)
    with pytest.raises(ValueError, match="shapes"):
        weigh_rows("entropy", torch.zeros(1, 2), torch.zeros(1, 3))
    step = Outputs(torch.zeros(2, 3))
    objective = METHODS["logit_std"].objective(row_weights="entropy")
    with pytest.raises(UsageError, match="logit_std: row_weights entropy is not made for multi-label data"):
        objective.build(replace(BuildContext(2, 3, step, step), task="multilabel"))
