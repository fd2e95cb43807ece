from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.distill.skd import SKD, skd_loss
from vectors import assert_golden, closed_form_logits


@pytest.mark.parametrize("divide", [True, False])
def test_definition(divide: bool) -> None:
    student, teacher, _ = closed_form_logits()
    grams = []
    for logits in (student, teacher):
        rows = [[float(x) / math.sqrt(sum(float(y) ** 2 for y in row)) for x in row] for row in logits]
        grams.append([[sum(a * b for a, b in zip(one, other, strict=True)) for other in rows] for one in rows])
    scale = 5 if divide else 1
    rows = [[(a - b) / scale for a, b in zip(*each, strict=True)] for each in zip(*grams, strict=True)]
    inverse = np.linalg.inv(np.cov(np.array(rows), rowvar=False) + 0.1 * np.eye(4))
    direction = sum(math.sqrt(np.array(row) @ inverse @ np.array(row)) for row in rows) / 4
    value = skd_loss(student, teacher, direction_weight=2.0, divide_by_classes=divide)
    assert value.item() == pytest.approx(kd_loss(student, teacher).item() + 2 * direction, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("skd", number, skd_loss)


def test_by_hand() -> None:
    """Two samples, orthogonal for the student and equal for the teacher: deviations -1, covariance (1, -1; -1, 1) / 2 + ridge."""
    student, teacher = torch.eye(2).double(), torch.ones(2, 2).double()
    value = skd_loss(student, teacher, ridge=0.5, divide_by_classes=False) - kd_loss(student, teacher)
    assert value.item() == pytest.approx(math.sqrt(4 / 3), rel=1e-9)  # d = (0, -1) and (-1, 0); C^-1 = (4, 2; 2, 4) / 3


def test_one_row_is_kd_and_says_so_once() -> None:
    student, teacher, _ = closed_form_logits()
    objective = SKD()
    with pytest.warns(UserWarning, match="skd of a batch of one is kd"):
        value = objective(student[:1], teacher[:1])
    torch.testing.assert_close(value, kd_loss(student[:1], teacher[:1]))


def test_equal_logits_have_no_gradient() -> None:
    student = closed_form_logits()[0].float().requires_grad_()
    value = skd_loss(student, student)
    value.backward()
    assert value.item() == 0
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-6


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: skd_loss(z, teacher, divide_by_classes=False), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        SKD(temperature=0)
    with pytest.raises(ValueError, match="ridge: 0 is not above 0"):
        SKD(ridge=0)
