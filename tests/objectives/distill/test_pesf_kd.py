from __future__ import annotations

import math

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.pesf_kd import PESFKD, pesf_kd_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_logits, offer, softmax_rows


def test_definition() -> None:
    student, adapted, labels = closed_form_logits()
    total = 0.0
    for mine, its, plain, label in zip(
        softmax_rows(student, 6.0), softmax_rows(adapted, 6.0), softmax_rows(adapted), labels.tolist(), strict=True
    ):
        total += 36 * sum(p * math.log(p / q) for p, q in zip(its, mine, strict=True)) / 4 - math.log(plain[label]) / 4
    assert pesf_kd_loss(student, adapted, adapted, labels).item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("pesf_kd", number, pesf_kd_loss)


def test_by_hand() -> None:
    """p_A = (1/2, 1/2), p_S = (1/4, 3/4): log 2 - log(3)/2, and CE log 2."""
    student, adapted = torch.tensor([[0.0, math.log(3.0)]]), torch.zeros(1, 2)
    value = pesf_kd_loss(student, adapted, adapted, torch.tensor([0]), temperature=1.0)
    assert value.item() == pytest.approx(2 * math.log(2) - math.log(3) / 2, rel=1e-6)


def test_in_the_plain_form_the_divergence_moves_both() -> None:
    student, adapted, labels = closed_form_logits()
    student.requires_grad_(), adapted.requires_grad_()
    value = pesf_kd_loss(student, adapted, student.detach(), labels) - torch.nn.functional.cross_entropy(
        adapted, labels
    )
    value.backward()
    for side in (student, adapted):
        assert side.grad is not None
        assert side.grad.abs().max() > 1e-3


def test_gradcheck() -> None:
    student, adapted, labels = closed_form_logits()
    inputs = (student.requires_grad_(), adapted.requires_grad_())
    assert torch.autograd.gradcheck(lambda z, a: pesf_kd_loss(z, a, -z.detach(), labels), inputs)


def test_the_adapter_corrects_the_teacher() -> None:
    student, teacher, labels = (each.float() if each.is_floating_point() else each for each in closed_form_logits())
    objective, pooled = PESFKD(), torch.randn(4, 7)
    assert objective.taps({}, offer("pooled")) == Taps((), ("pooled",))
    objective.build(BuildContext(4, 5, Outputs(student), Outputs(teacher, {"pooled": pooled})))
    value = objective(student, pooled, teacher, labels)
    expected = pesf_kd_loss(student, teacher - objective.adapter(pooled), teacher, labels)
    torch.testing.assert_close(value, expected)
    value.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_errors() -> None:
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        PESFKD(temperature=0)
    with pytest.raises(ValueError, match="bottleneck: 0 is below 1"):
        PESFKD(bottleneck=0)
    with pytest.raises(UsageError, match="pesf_kd needs feature pooled of the teacher"):
        PESFKD().taps({}, {})
