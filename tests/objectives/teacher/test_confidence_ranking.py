from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch import Tensor

from preceptor.objectives.base import BuildContext
from preceptor.objectives.teacher.confidence_ranking import Confidence, ConfidenceRanking, confidence_ranking_loss
from preceptor.types import Outputs

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double()
HISTORY = torch.tensor([0.0, 0.5, 0.5, 1.0, 0.25, 0.75]).double()


def slowly(logits: Tensor, history: Tensor, kind: Confidence) -> float:
    sure = []
    for row in logits.tolist():
        p = sorted((math.exp(z) / sum(math.exp(v) for v in row) for z in row), reverse=True)
        entropy = -sum(q * math.log(q) for q in p) / math.log(len(p))
        sure.append({"max_probability": p[0], "negative_entropy": -entropy, "margin": p[0] - p[1]}[kind])
    total = 0.0
    for i in range(len(sure)):
        j = (i + 1) % len(sure)
        gap = float(history[i] - history[j])
        sign = (gap > 0) - (gap < 0)
        total += max(0.0, -sign * (sure[i] - sure[j]) + abs(gap))
    return total / len(sure)


@pytest.mark.parametrize("kind", ["max_probability", "negative_entropy", "margin"])
def test_against_the_definition(kind: Confidence) -> None:
    value = confidence_ranking_loss(LOGITS, HISTORY, confidence=kind)
    assert value.item() == pytest.approx(slowly(LOGITS, HISTORY, kind), rel=1e-12)


def test_by_hand() -> None:
    """Confidences 0.8 and 0.6, histories 0.5 and 1: both pairs are the wrong way round by 0.2, and 0.5 apart."""
    logits = torch.tensor([[0.8, 0.2], [0.6, 0.4]]).log()
    assert confidence_ranking_loss(logits, torch.tensor([0.5, 1.0])).item() == pytest.approx(0.7)


def test_equal_histories_cost_nothing_and_right_gaps_neither() -> None:
    assert confidence_ranking_loss(LOGITS, torch.full((6,), 0.3)).item() == 0
    logits = torch.tensor([[0.9, 0.1], [0.6, 0.4]]).log()
    assert confidence_ranking_loss(logits, torch.tensor([0.8, 0.6])).item() == pytest.approx(0, abs=1e-7)


def test_a_violation_is_penalised_linearly() -> None:
    values = []
    for confidence in (0.6, 0.7, 0.8):
        logits = torch.tensor([[confidence, 1 - confidence], [0.9, 0.1]]).log()
        values.append(confidence_ranking_loss(logits, torch.tensor([1.0, 0.0])).item())
    assert values[0] - values[1] == pytest.approx(values[1] - values[2], abs=1e-6)
    assert values[0] - values[1] == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("kind", ["max_probability", "negative_entropy", "margin"])
def test_gradients(kind: Confidence) -> None:
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: confidence_ranking_loss(z, HISTORY, confidence=kind), (logits,))


def built(samples: int = 5) -> ConfidenceRanking:
    objective = ConfidenceRanking()
    objective.build(BuildContext(samples, 2, Outputs(torch.zeros(2, 2)), None))
    return objective.train()


def test_counters_follow_what_was_right_and_are_read_before_they_are_changed() -> None:
    objective, index, labels = built(), torch.arange(5), torch.tensor([0, 0, 0, 1, 1])
    logits = torch.tensor([[0.7, 0.3]] * 5).log()  # the first three are right
    assert objective(logits, labels, index, 1).item() == 0  # nothing is known yet
    assert objective.times_right.tolist() == [1, 1, 1, 0, 0]
    expected = confidence_ranking_loss(logits, torch.tensor([1.0, 1, 1, 0, 0]))
    assert objective(logits, labels, index, 2).item() == pytest.approx(expected.item())
    assert objective.times_right.tolist() == [2, 2, 2, 0, 0]
    half = objective(logits, labels, index, 5)  # right in 2 of 4 earlier epochs
    assert half.item() == pytest.approx(confidence_ranking_loss(logits, torch.tensor([0.5, 0.5, 0.5, 0, 0])).item())


def test_a_sample_that_was_always_right_with_all_others_is_no_division_by_zero() -> None:
    objective, index = built(), torch.arange(5)
    logits, labels = torch.tensor([[0.7, 0.3]] * 5).log(), torch.zeros(5, dtype=torch.long)
    for epoch in range(1, 4):
        assert objective(logits, labels, index, epoch).item() == 0
    assert objective.times_right.tolist() == [3] * 5


def test_evaluation_counts_nothing() -> None:
    objective = built()
    objective.eval()(LOGITS[:5, :2], torch.zeros(5, dtype=torch.long), torch.arange(5), 2)
    assert objective.times_right.sum() == 0


def test_errors() -> None:
    with pytest.raises(ValueError, match="confidence: unknown 'sure'; there are max_probability, negative_entropy"):
        inspect.unwrap(confidence_ranking_loss)(LOGITS, HISTORY, confidence="sure")
    with pytest.raises(ValueError, match="has no counters yet"):
        ConfidenceRanking()(LOGITS, torch.zeros(6, dtype=torch.long), torch.arange(6), 1)
