from __future__ import annotations

import math

import pytest
import torch

from preceptor.objectives.distill.nkd import NKD, nkd_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden, closed_form_logits


def test_definition() -> None:
    student, teacher, labels = closed_form_logits()
    total = 0.0
    for i, y in enumerate(labels.tolist()):
        p, q = (torch.softmax(z[i], 0) for z in (student, teacher))
        others = [c for c in range(5) if c != y]
        soft_p, soft_q = (torch.softmax(z[i, others] / 2, 0) for z in (student, teacher))
        total -= float(q[y] * p[y].log()) + 1.5 * 4 * float((soft_q * soft_p.log()).sum())
    value = nkd_loss(student, teacher, labels, nontarget_weight=1.5, temperature=2.0)
    assert value.item() == pytest.approx(total / 4, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("nkd", number, nkd_loss)


def test_tabulated() -> None:
    student, teacher, labels = closed_form_logits()
    value = nkd_loss(student, teacher, labels, nontarget_weight=1.5, temperature=1.0)
    assert value.item() == pytest.approx(3.617901061, rel=1e-8)


def test_by_hand() -> None:
    """Three equal logits: 1/3 log 3 for the target, log 2 for the two others."""
    logits, labels = torch.zeros(2, 3), torch.tensor([0, 2])
    value = nkd_loss(logits, logits, labels, nontarget_weight=2.0, temperature=1.0)
    assert value.item() == pytest.approx(math.log(3) / 3 + 2 * math.log(2), rel=1e-6)


def test_with_two_classes_only_the_target_is_left() -> None:
    student, teacher, labels = torch.randn(5, 2), torch.randn(5, 2), torch.tensor([0, 1, 0, 1, 1])
    values = [nkd_loss(student, teacher, labels, nontarget_weight=weight).item() for weight in (0.0, 9.0)]
    assert values[0] == pytest.approx(values[1])


def test_the_second_part_is_least_where_the_others_agree() -> None:
    _, teacher, labels = closed_form_logits()
    raised = teacher + 5 * torch.nn.functional.one_hot(labels, 5)  # another target, the same others
    student = raised.clone().requires_grad_()
    loss = nkd_loss(student, teacher, labels, nontarget_weight=1.0)
    target = nkd_loss(student, teacher, labels, nontarget_weight=0.0)
    (gradient,) = torch.autograd.grad(loss - target, student)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-12, rtol=0)


def test_a_constant_added_to_a_row_does_not_matter() -> None:
    student, teacher, labels = closed_form_logits()
    shift = torch.tensor([[1.0], [-20.0], [3.0], [0.5]]).double()
    torch.testing.assert_close(nkd_loss(student + shift, teacher - shift, labels), nkd_loss(student, teacher, labels))


def test_the_class_takes_its_labels_from_the_batch() -> None:
    student, teacher, labels = closed_form_logits()
    batch = Batch(torch.zeros(4, 1), labels, torch.arange(4), View("none", 0, 1))
    step = Step(batch, Outputs(student), Outputs(teacher), torch.nn.Identity(), Progress(1, 1, 0.0))
    value = NKD(nontarget_weight=1.5, temperature=1.0).loss(step)
    assert value.item() == pytest.approx(3.617901061, rel=1e-8)


def test_gradcheck() -> None:
    student, teacher, labels = closed_form_logits()
    assert torch.autograd.gradcheck(lambda logits: nkd_loss(logits, teacher, labels), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        NKD(temperature=0)
    with pytest.raises(ValueError, match="temperature: -2 is not above 0"):
        nkd_loss(torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([0]), temperature=-2)
