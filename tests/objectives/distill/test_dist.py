from __future__ import annotations

import math

import pytest
import torch
from vectors import assert_golden, closed_form_logits

from preceptor.objectives.distill.dist import DIST, dist_loss


def correlation(one: list[float], other: list[float]) -> float:
    a, b = ([value - sum(row) / len(row) for value in row] for row in (one, other))
    lengths = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / (lengths + 1e-8)


def test_definition() -> None:
    student, teacher, _ = closed_form_logits()
    p, q = (torch.softmax(logits / 2, 1) for logits in (student, teacher))
    inter = 1 - sum(correlation(p[i].tolist(), q[i].tolist()) for i in range(4)) / 4
    intra = 1 - sum(correlation(p[:, c].tolist(), q[:, c].tolist()) for c in range(5)) / 5
    value = dist_loss(student, teacher, inter_weight=1.5, intra_weight=0.5, temperature=2.0)
    assert value.item() == pytest.approx(4 * (1.5 * inter + 0.5 * intra), rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("dist", number, dist_loss)


def test_tabulated() -> None:
    student, teacher, _ = closed_form_logits()
    assert dist_loss(student, teacher, intra_weight=0, temperature=1).item() == pytest.approx(1.076460126, rel=1e-8)
    assert dist_loss(student, teacher, inter_weight=0, temperature=1).item() == pytest.approx(1.15904915, rel=1e-8)
    assert dist_loss(student, teacher).item() == pytest.approx(30.55781313, rel=1e-8)


def test_by_hand() -> None:
    """Opposite rows and columns: both correlations are -1."""
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert dist_loss(logits, logits.flip(1), temperature=1.0).item() == pytest.approx(4, rel=1e-5)


def test_a_rising_affine_map_of_a_row_of_probabilities_does_not_matter_to_inter() -> None:
    student, teacher, _ = closed_form_logits()
    squeezed = (0.3 * student.softmax(1) + 0.7 / 5).log()
    torch.testing.assert_close(
        dist_loss(squeezed, teacher, intra_weight=0, temperature=1),
        dist_loss(student, teacher, intra_weight=0, temperature=1),
        rtol=1e-6,
        atol=0,
    )


def test_symmetric() -> None:
    student, teacher, _ = closed_form_logits()
    torch.testing.assert_close(dist_loss(student, teacher), dist_loss(teacher, student))


def test_a_class_that_nobody_expects_has_no_gradient() -> None:
    student = torch.zeros(3, 4)
    student[:, 2] = -1e4
    student.requires_grad_()
    teacher = torch.tensor([[0.0, 1.0, -1e4, 2.0]] * 3)
    value = dist_loss(student, teacher)
    value.backward()
    assert torch.isfinite(value)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_a_batch_of_one_has_the_first_part_alone() -> None:
    student, teacher, _ = closed_form_logits()
    whole, first = dist_loss(student[:1], teacher[:1]), dist_loss(student[:1], teacher[:1], intra_weight=0)
    assert whole.item() == first.item() > 0


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda logits: dist_loss(logits, teacher), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        DIST(temperature=0)
