from __future__ import annotations

import math

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.distill.ldrld import LDRLD, ldrld_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_logits


@pytest.mark.parametrize("top", [2, 3, 4])
def test_definition(top: int) -> None:
    student, teacher, _ = closed_form_logits()
    local = remaining = 0.0
    for row in range(4):
        order = sorted(range(5), key=lambda c: -student[row, c].item())
        kept, rest = order[:top], order[top:]

        def over(classes: list[int], row: int = row) -> float:
            return kd_loss(student[[row]][:, classes], teacher[[row]][:, classes], temperature=3.0).item()

        terms = []
        for b in range(2, top + 1):
            for a in range(1, b):
                weight = 2 / (1.5 + b - a) * math.exp(-0.05 * (a + b))
                terms.append(weight * over([kept[a - 1], kept[b - 1]]))
        terms.append(over(kept) if top > 2 else terms[0])
        local += sum(terms) / len(terms) / 4
        remaining += over(rest) / 4
    value = ldrld_loss(student, teacher, top=top, temperature=3.0, local_weight=2.0, remaining_weight=5.0)
    assert value.item() == pytest.approx(2 * local + 5 * remaining, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ldrld", number, ldrld_loss)


def test_by_hand() -> None:
    """The pair of the first two: p_T = (1/2, 1/2), p_S = (3/4, 1/4), weight 2 / 2.5 exp(-0.15), twice over two."""
    student, teacher = torch.tensor([[math.log(3.0), 0.0, -50.0]]), torch.zeros(1, 3)
    value = ldrld_loss(student, teacher, top=2, temperature=1.0, local_weight=1.0, remaining_weight=9.0)
    assert value.item() == pytest.approx(0.8 * math.exp(-0.15) * (math.log(2) - math.log(3) / 2), rel=1e-5)


def test_the_order_of_classes_does_not_matter() -> None:
    student, teacher, _ = closed_form_logits()
    columns = torch.tensor([3, 0, 4, 2, 1])
    value = ldrld_loss(student[:, columns], teacher[:, columns], top=3)
    torch.testing.assert_close(value, ldrld_loss(student, teacher, top=3))


def test_few_classes_leave_one_beside() -> None:
    student, teacher, _ = closed_form_logits()
    torch.testing.assert_close(LDRLD(top=7)(student, teacher), ldrld_loss(student, teacher, top=4))


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: ldrld_loss(z, teacher, top=3), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="top: 5 of 5 classes; at least 2, and fewer than there are"):
        ldrld_loss(torch.zeros(1, 5), torch.zeros(1, 5), top=5)
    with pytest.raises(ValueError, match="top: 1 is below 2"):
        LDRLD(top=1)
    with pytest.raises(ValueError, match="temperature"):
        LDRLD(temperature=0)
    two = Outputs(torch.zeros(2, 2))
    with pytest.raises(UsageError, match=r"^method ldrld relates pairs of classes to others, and the data has 2$"):
        LDRLD().build(BuildContext(2, 2, two, two))
