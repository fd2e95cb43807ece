from __future__ import annotations

import pytest
import torch
from vectors import assert_golden, closed_form_logits

from preceptor.objectives.distill.ctkd import CTKD, ctkd_loss
from preceptor.objectives.distill.kd import kd_loss
from preceptor.types import Clock


def test_definition() -> None:
    student, teacher, _ = closed_form_logits()
    raw = torch.tensor([0.3], dtype=torch.float64)
    temperature = 2 + 5 / (1 + float(torch.exp(-raw)))
    expected = kd_loss(student, teacher, temperature=temperature)
    torch.testing.assert_close(ctkd_loss(student, teacher, raw, start=2, scale=5), expected)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ctkd", number, ctkd_loss)


def test_the_temperature_starts_at_1_plus_20_sigmoid_1() -> None:
    assert CTKD().temperature == pytest.approx(1 + 20 / (1 + 2.718281828**-1), rel=1e-6)


@pytest.mark.parametrize("reversal", [0.0, 0.5, 1.0])
def test_the_temperatures_gradient_is_turned_and_the_students_is_not(reversal: float) -> None:
    student, teacher, _ = closed_form_logits()
    student.requires_grad_()
    raw = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    ours = torch.autograd.grad(ctkd_loss(student, teacher, raw, reversal=reversal), (student, raw))
    plain = torch.autograd.grad(ctkd_loss(student, teacher, raw, reversal=-1.0), (student, raw))
    torch.testing.assert_close(ours[0], plain[0])
    torch.testing.assert_close(ours[1], -reversal * plain[1])


def test_a_step_of_descent_raises_the_loss_through_the_temperature() -> None:
    student, teacher, _ = closed_form_logits()
    objective = CTKD().double()
    before = objective(student, teacher, reversal=1.0)
    before.backward()
    torch.optim.SGD(objective.parameters(), lr=0.1).step()
    assert objective(student, teacher).item() > before.item()
    assert 1 < objective.temperature < 21


def test_the_adversary_grows_along_half_a_cosine() -> None:
    objective = CTKD(ramp_epochs=10)
    strengths = [objective.reversal(Clock(epoch, 240, 0.0)) for epoch in (5, 10, 100)]
    assert strengths == pytest.approx([0.5, 1.0, 1.0])
    assert objective.reversal(Clock(1, 240, 0.0)) == pytest.approx(0.0244717, rel=1e-4)


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    raw = torch.tensor([0.3], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda z, r: ctkd_loss(z, teacher, r, reversal=-1.0), (student.requires_grad_(), raw.requires_grad_())
    )


def test_errors() -> None:
    with pytest.raises(ValueError, match="start: 0 is not above 0"):
        CTKD(start=0)
    with pytest.raises(ValueError, match="scale: -1 is not above 0"):
        CTKD(scale=-1)
    with pytest.raises(ValueError, match="ramp_epochs: 0 is not at least 1"):
        CTKD(ramp_epochs=0)
