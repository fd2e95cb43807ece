from __future__ import annotations

import math

import pytest
import torch

from preceptor.objectives.distill.abkd import ABKD, abkd_loss
from preceptor.objectives.distill.kd import kd_loss
from vectors import assert_golden, closed_form_logits, softmax_rows


@pytest.mark.parametrize(("alpha", "beta"), [(0.8, 0.3), (0.5, 0.5), (1.2, -0.1)])
def test_definition(alpha: float, beta: float) -> None:
    student, teacher, _ = closed_form_logits()
    total = 0.0
    for mine, its in zip(softmax_rows(student, 4.0), softmax_rows(teacher, 4.0), strict=True):
        for q, p in zip(mine, its, strict=True):
            both = alpha + beta
            total -= (p**alpha * q**beta - alpha / both * p**both - beta / both * q**both) / (alpha * beta)
    value = abkd_loss(student, teacher, alpha=alpha, beta=beta, temperature=4.0)
    assert value.item() == pytest.approx(16 * total / 4, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_golden(number: int) -> None:
    assert_golden("abkd", number, abkd_loss)


def test_by_hand() -> None:
    """p = (1/2, 1/2), q = (1/4, 3/4), alpha = beta = 1: half the squared distance, 1/16."""
    student, teacher = torch.tensor([[0.0, math.log(3.0)]]), torch.zeros(1, 2)
    value = abkd_loss(student, teacher, alpha=1.0, beta=1.0, temperature=1.0)
    assert value.item() == pytest.approx(1 / 16, rel=1e-6)


def test_one_and_zero_is_kd() -> None:
    student, teacher, _ = closed_form_logits()
    torch.testing.assert_close(abkd_loss(student, teacher, alpha=1.0, beta=0.0), kd_loss(student, teacher))


def test_powers_that_underflow_are_finite() -> None:
    student = torch.tensor([[0.0, 2e4, 0.0]], requires_grad=True)
    value = abkd_loss(student, torch.tensor([[1e4, 0.0, 1.0]]))
    value.backward()
    assert torch.isfinite(value)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: abkd_loss(z, teacher), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        ABKD(temperature=0)
    with pytest.raises(ValueError, match="temperature"):
        abkd_loss(torch.zeros(1, 2), torch.zeros(1, 2), temperature=-1)
