from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.objectives.distill.dkd import DKD, dkd_loss
from preceptor.objectives.distill.kd import kd_loss
from vectors import assert_golden, closed_form_logits, softmax_rows


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_definition(temperature: float) -> None:
    student, teacher, labels = closed_form_logits()
    target, nontarget = 0.0, 0.0
    for s, t, y in zip(
        softmax_rows(student, temperature), softmax_rows(teacher, temperature), labels.tolist(), strict=True
    ):
        pairs = ((t[y], s[y]), (1 - t[y], 1 - s[y]))
        target += sum(a * math.log(a / b) for a, b in pairs) / 4
        for c in range(5):
            if c != y:
                a, b = t[c] / (1 - t[y]), s[c] / (1 - s[y])
                nontarget += a * math.log(a / b) / 4
    for weights in ((1.0, 0.0), (0.0, 1.0), (1.5, 8.0)):
        value = dkd_loss(
            student, teacher, labels, target_weight=weights[0], nontarget_weight=weights[1], temperature=temperature
        )
        expected = temperature**2 * (weights[0] * target + weights[1] * nontarget)
        assert value.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("dkd", number, dkd_loss)


@pytest.mark.parametrize(
    ("target", "nontarget", "expected"), [(1, 0, 0.6954352479), (0, 1, 1.481727282), (1, 8, 12.5492535)]
)
def test_tabulated(target: float, nontarget: float, expected: float) -> None:
    student, teacher, labels = closed_form_logits()
    value = dkd_loss(student, teacher, labels, target_weight=target, nontarget_weight=nontarget, temperature=4.0)
    assert value.item() == pytest.approx(expected, rel=1e-8)


def test_by_hand() -> None:
    """Three equal classes against p_S = (1/2, 1/4, 1/4), label 0: TCKD = log(2/3)/3 + 2 log(4/3)/3, NCKD = 0."""
    student, teacher = torch.tensor([[math.log(2.0), 0.0, 0.0]]), torch.zeros(1, 3)
    value = dkd_loss(student, teacher, torch.tensor([0]), target_weight=1.0, nontarget_weight=1.0, temperature=1.0)
    assert value.item() == pytest.approx(math.log(2 / 3) / 3 + 2 * math.log(4 / 3) / 3, rel=1e-5)


def test_kd_is_the_target_part_plus_the_other_part_times_the_teachers_doubt() -> None:
    student, teacher, labels = closed_form_logits()
    for row in range(4):
        s, t, y = student[row : row + 1], teacher[row : row + 1], labels[row : row + 1]
        doubt = 1 - torch.softmax(t, 1)[0, y].item()
        value = dkd_loss(s, t, y, target_weight=1.0, nontarget_weight=doubt, temperature=1.0)
        torch.testing.assert_close(value, kd_loss(s, t, temperature=1.0))


def test_a_student_very_sure_of_a_wrong_class_is_finite() -> None:
    student = torch.tensor([[0.0, 10_000.0, 0.0]], requires_grad=True)
    value = dkd_loss(student, torch.tensor([[9.0, 0.0, 1.0]]), torch.tensor([0]))
    value.backward()
    assert torch.isfinite(value)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_two_classes_leave_the_target_part_and_say_so_once() -> None:
    student, teacher, labels = torch.randn(4, 2), torch.randn(4, 2), torch.tensor([0, 1, 1, 0])
    objective = DKD(nontarget_weight=8.0)
    with pytest.warns(UserWarning, match="two classes"):
        value = objective(student, teacher, labels)
    torch.testing.assert_close(value, kd_loss(student, teacher, temperature=4.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective(student, teacher, labels)


@settings(max_examples=25, deadline=None)
@given(one=st.floats(-50, 50), other=st.floats(-50, 50))
def test_a_constant_added_to_a_row_does_not_matter(one: float, other: float) -> None:
    student, teacher, labels = closed_form_logits()
    torch.testing.assert_close(dkd_loss(student + one, teacher + other, labels), dkd_loss(student, teacher, labels))


def test_gradcheck() -> None:
    student, teacher, labels = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: dkd_loss(z, teacher, labels), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        dkd_loss(torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([0]), temperature=0)
    with pytest.raises(ValueError, match="1 classes, dkd needs at least 2"):
        dkd_loss(torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([0]))
    with pytest.raises(ValueError, match="temperature"):
        DKD(temperature=-1)
