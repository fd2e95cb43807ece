from __future__ import annotations

import math

import pytest
import torch

from preceptor.objectives.distill.ea_kd import EAKD, ea_kd_loss
from preceptor.objectives.distill.kd import KD, kd_loss
from vectors import assert_golden, closed_form_logits, softmax_rows


def entropy(row: list[float]) -> float:
    return -sum(p * math.log(p) for p in row)


@pytest.mark.parametrize("bound", [None, 100.0])
def test_definition(bound: float | None) -> None:
    student, teacher, _ = closed_form_logits()
    total = 0.0
    for row in range(4):
        h_student, h_teacher = (entropy(softmax_rows(z, 3.0)[row]) for z in (student, teacher))
        weight = 0.5 * h_teacher * (1 + h_student / (bound or math.log(5)))
        total += weight * kd_loss(student[[row]], teacher[[row]], temperature=4.0).item() / 4
    assert ea_kd_loss(student, teacher, entropy_bound=bound).item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ea_kd", number, ea_kd_loss)


def test_by_hand() -> None:
    """A uniform teacher of two classes and a sure student: weight log 2 / 2."""
    student, teacher = torch.tensor([[1000.0, 0.0]]), torch.zeros(1, 2)
    expected = math.log(2) / 2 * kd_loss(student, teacher, temperature=1.0).item()
    value = ea_kd_loss(student, teacher, temperature=1.0, weight_temperature=1.0)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_the_weights_are_those_of_any_other_loss_of_rows() -> None:
    student, teacher, _ = closed_form_logits()
    torch.testing.assert_close(KD(row_weights="entropy")(student, teacher), EAKD()(student, teacher))


def test_the_weights_have_no_gradient() -> None:
    student, teacher, _ = closed_form_logits()
    one, other = student.clone().requires_grad_(), student.clone().requires_grad_()
    ea_kd_loss(one[[0]], teacher[[0]]).backward()
    kd = kd_loss(other[[0]], teacher[[0]])
    kd.backward()
    assert one.grad is not None
    assert other.grad is not None
    scale = ea_kd_loss(student[[0]], teacher[[0]]) / kd.detach()
    torch.testing.assert_close(one.grad, scale * other.grad)


def test_errors() -> None:
    for name in ("temperature", "weight_temperature", "entropy_bound"):
        with pytest.raises(ValueError, match=f"{name}: 0 is not above 0"):
            EAKD(**{name: 0})
