from __future__ import annotations

import math

import pytest
import torch

from preceptor.objectives.teacher.cross_entropy import cross_entropy_loss
from preceptor.objectives.teacher.focal import Focal, focal_loss
from vectors import assert_golden, closed_form_logits, softmax_rows


@pytest.mark.parametrize("adaptive", [False, True])
def test_definition(adaptive: bool) -> None:
    logits, _, labels = closed_form_logits()
    total = 0.0
    for row, label in zip(softmax_rows(logits), labels.tolist(), strict=True):
        right = row[label]
        gamma = (5.0 if right < 0.2 else 3.0 if right < 0.5 else 1.5) if adaptive else 1.5
        total -= (1 - right) ** gamma * math.log(right)
    assert focal_loss(logits, labels, gamma=1.5, adaptive=adaptive).item() == pytest.approx(total / 4, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("focal", number, focal_loss)


def test_by_hand() -> None:
    """p_y = 1/4: (3/4)^2 log 4; adaptive, its exponent is 3."""
    logits, labels = torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([0])
    assert focal_loss(logits, labels, gamma=2.0).item() == pytest.approx(9 / 16 * math.log(4), rel=1e-6)
    assert focal_loss(logits, labels, gamma=2.0, adaptive=True).item() == pytest.approx(27 / 64 * math.log(4), rel=1e-6)


def test_with_exponent_0_it_is_cross_entropy() -> None:
    logits, _, labels = closed_form_logits()
    torch.testing.assert_close(focal_loss(logits, labels, gamma=0.0), cross_entropy_loss(logits, labels))


def test_below_exponent_1_a_sure_answer_has_a_finite_gradient() -> None:
    logits = torch.tensor([[40.0, 0.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0]), gamma=0.5).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_gradcheck() -> None:
    logits, _, labels = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: focal_loss(z, labels, adaptive=True), logits.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="gamma: -1 is below 0"):
        Focal(-1)
    with pytest.raises(ValueError, match="gamma"):
        focal_loss(torch.zeros(1, 2), torch.tensor([0]), gamma=math.nan)
