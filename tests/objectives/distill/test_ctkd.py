from __future__ import annotations

import math

import pytest
import torch

from preceptor.objectives.distill.ctkd import CTKD, ctkd_loss
from preceptor.objectives.distill.kd import kd_loss
from preceptor.types import Progress
from vectors import assert_golden, closed_form_logits, softmax_rows


def test_definition() -> None:
    student, teacher, _ = closed_form_logits()
    raw = torch.tensor([0.3], dtype=torch.float64)
    t = 2 + 5 / (1 + math.exp(-0.3))
    tables = zip(softmax_rows(student, t), softmax_rows(teacher, t), strict=True)
    total = sum(q * math.log(q / p) for mine, its in tables for p, q in zip(mine, its, strict=True))
    value = ctkd_loss(student, teacher, raw, start=2, scale=5)
    assert value.item() == pytest.approx(t**2 * total / 4, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ctkd", number, ctkd_loss)


def test_by_hand() -> None:
    """Temperature 1 + 2/2 = 2, so the teacher says (3/4, 1/4) and the student (1/2, 1/2)."""
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    value = ctkd_loss(torch.zeros(1, 2), teacher, torch.zeros(1), scale=2.0)
    assert value.item() == pytest.approx(4 * (0.75 * math.log(1.5) - 0.25 * math.log(2)), rel=1e-5)


def test_at_a_temperature_that_stands_still_it_is_kd() -> None:
    student, teacher, _ = closed_form_logits()
    objective = CTKD().double()
    expected = kd_loss(student, teacher, temperature=objective.temperature)
    torch.testing.assert_close(objective(student, teacher), expected)


def test_a_constant_added_to_a_row_does_not_matter() -> None:
    student, teacher, _ = closed_form_logits()
    shift, raw = torch.tensor([[1.0], [-20.0], [3.0], [0.5]]).double(), torch.zeros(1).double()
    torch.testing.assert_close(ctkd_loss(student + shift, teacher - shift, raw), ctkd_loss(student, teacher, raw))


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
    strengths = [objective.reversal(Progress(epoch, 240, 0.0)) for epoch in (5, 10, 100)]
    assert strengths == pytest.approx([0.5, 1.0, 1.0])
    assert objective.reversal(Progress(1, 240, 0.0)) == pytest.approx(0.0244717, rel=1e-4)
    assert [CTKD().reversal(Progress(e, 240, 0.0)) for e in range(1, 12)] == [
        objective.reversal(Progress(e, 240, 0.0)) for e in range(1, 12)
    ]


def test_in_a_short_run_the_adversary_grows_faster() -> None:
    assert [CTKD().reversal(Progress(epoch, 48, 0.0)) for epoch in (1, 2, 3)] == pytest.approx([0.5, 1.0, 1.0])
    assert CTKD(ramp_epochs=1e-9).reversal(Progress(1, 2, 0.0)) == pytest.approx(1.0)


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
    with pytest.raises(ValueError, match="start: -1 is not above 0"):
        ctkd_loss(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1), start=-1)
    with pytest.raises(ValueError, match="ramp_epochs: 0 is not above 0"):
        CTKD(ramp_epochs=0)
