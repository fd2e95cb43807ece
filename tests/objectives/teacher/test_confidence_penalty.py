from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from preceptor.divergences import kl
from preceptor.objectives.teacher.confidence_penalty import ConfidencePenalty, confidence_penalty_loss
from preceptor.objectives.teacher.cross_entropy import cross_entropy_loss
from vectors import assert_golden, closed_form_logits, softmax_rows


def test_definition() -> None:
    logits, _, labels = closed_form_logits()
    total = 0.0
    for row, label in zip(softmax_rows(logits), labels.tolist(), strict=True):
        total += -math.log(row[label]) + 0.3 * sum(p * math.log(p) for p in row)
    assert confidence_penalty_loss(logits, labels, weight=0.3).item() == pytest.approx(total / 4, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("confidence_penalty", number, confidence_penalty_loss)


def test_by_hand() -> None:
    """p = (1/4, 3/4), label 0: log 4 - weight (log 4 - 3/4 log 3)."""
    logits = torch.tensor([[0.0, math.log(3.0)]])
    expected = math.log(4) - 0.5 * (math.log(4) - 0.75 * math.log(3))
    assert confidence_penalty_loss(logits, torch.tensor([0]), weight=0.5).item() == pytest.approx(expected, rel=1e-6)


def test_it_is_cross_entropy_and_the_divergence_from_uniform() -> None:
    logits, _, labels = closed_form_logits()
    from_uniform = kl(torch.log_softmax(logits, 1), torch.full_like(logits, -math.log(5))).mean()
    expected = cross_entropy_loss(logits, labels) + 0.1 * (from_uniform - math.log(5))
    torch.testing.assert_close(confidence_penalty_loss(logits, labels), expected)


def test_mixed_labels_make_the_mixture_of_losses() -> None:
    logits, _, labels = closed_form_logits()
    one_hot = functional.one_hot(labels, 5).double()
    mixed = confidence_penalty_loss(logits, 0.3 * one_hot + 0.7 * one_hot.flip(0))
    expected = 0.3 * confidence_penalty_loss(logits, labels) + 0.7 * confidence_penalty_loss(logits, labels.flip(0))
    torch.testing.assert_close(mixed, expected)


def test_gradcheck() -> None:
    logits, _, labels = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: confidence_penalty_loss(z, labels), logits.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="penalty: 0 is not above 0"):
        ConfidencePenalty(0)
    with pytest.raises(ValueError, match="weight"):
        confidence_penalty_loss(torch.zeros(1, 2), torch.tensor([0]), weight=-1)
