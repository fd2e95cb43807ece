from __future__ import annotations

import math

import pytest
import torch

from preceptor.objectives.distill.wsld import WSLD, wsld_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden, closed_form_logits


def test_definition() -> None:
    student, teacher, labels = closed_form_logits()
    total = 0.0
    for i, y in enumerate(labels.tolist()):
        hardness = [-float(torch.log_softmax(z[i], 0)[y]) for z in (student, teacher)]
        weight = 1 - math.exp(-hardness[0] / (hardness[1] + 1e-7))
        p, q = (torch.softmax(z[i] / 2, 0) for z in (student, teacher))
        total -= 4 * weight * float((q * p.log()).sum())
    assert wsld_loss(student, teacher, labels, temperature=2.0).item() == pytest.approx(total / 4, rel=1e-8)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("wsld", number, wsld_loss)


def test_tabulated() -> None:
    student, teacher, labels = closed_form_logits()
    assert wsld_loss(student, teacher, labels).item() == pytest.approx(24.49539246, rel=1e-8)


def test_by_hand() -> None:
    """Equal networks: weight 1 - 1/e, entropy log 2."""
    logits = torch.zeros(3, 2)
    value = wsld_loss(logits, logits, torch.tensor([0, 1, 0]), temperature=1.0)
    assert value.item() == pytest.approx((1 - math.exp(-1)) * math.log(2), rel=1e-5)


def test_both_forms_have_the_same_gradient() -> None:
    student, teacher, labels = closed_form_logits()
    gradients = []
    for zero_at_equality in (False, True):
        mine = student.clone().requires_grad_()
        wsld_loss(mine, teacher, labels, zero_at_equality=zero_at_equality).backward()
        gradients.append(mine.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_sure_teacher_is_trusted_and_a_student_who_knows_needs_no_help() -> None:
    labels = torch.tensor([0])
    unsure, sure = torch.zeros(1, 2), torch.tensor([[30.0, 0.0]])
    trusted = wsld_loss(unsure, sure, labels, temperature=1.0, zero_at_equality=True)
    assert trusted.item() == pytest.approx(math.log(2), rel=1e-5)  # weight 1, KL log 2
    assert wsld_loss(sure, unsure, labels, temperature=1.0).item() < 1e-4


def test_a_constant_added_to_a_row_does_not_matter() -> None:
    student, teacher, labels = closed_form_logits()
    shift = torch.tensor([[1.0], [-20.0], [3.0], [0.5]]).double()
    torch.testing.assert_close(wsld_loss(student + shift, teacher - shift, labels), wsld_loss(student, teacher, labels))


def test_the_class_takes_its_labels_from_the_batch() -> None:
    student, teacher, labels = closed_form_logits()
    batch = Batch(torch.zeros(4, 1), labels, torch.arange(4), View("none", 0, 1))
    step = Step(batch, Outputs(student), Outputs(teacher), torch.nn.Identity(), Progress(1, 1, 0.0))
    assert WSLD().loss(step).item() == pytest.approx(24.49539246, rel=1e-8)


def test_gradcheck() -> None:
    """The weights have no gradient, so they are held by a detached copy of what the check moves."""
    student, teacher, labels = closed_form_logits()
    student.requires_grad_()
    value = wsld_loss(student, teacher, labels, temperature=2.0)
    (gradient,) = torch.autograd.grad(value, student)
    hardness = [torch.nn.functional.cross_entropy(z, labels, reduction="none") for z in (student.detach(), teacher)]
    weight = 1 - torch.exp(-hardness[0] / (hardness[1] + 1e-7))
    p, q = (torch.softmax(z / 2, 1) for z in (student.detach(), teacher))
    torch.testing.assert_close(gradient, 2 * weight[:, None] * (p - q) / 4)


def test_errors() -> None:
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        WSLD(temperature=0)
    with pytest.raises(ValueError, match="temperature: -2 is not above 0"):
        wsld_loss(torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([0]), temperature=-2)
