from __future__ import annotations

import math
import warnings

import pytest
import torch

from preceptor.objectives.distill.dist import DIST, dist_loss
from vectors import assert_golden, closed_form_logits


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


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("level", [0.0, 0.3, -7.7])
def test_a_student_whose_classifier_starts_at_zero_has_no_huge_gradient(classes: int, level: float) -> None:
    """The slope of a correlation with a constant does not exist; the floor alone would make it 1e4 here."""
    student = torch.full((16, classes), level, requires_grad=True)
    torch.manual_seed(0)
    value = dist_loss(student, 3 * torch.randn(16, classes), temperature=1.0)
    value.backward()
    assert value.item() == pytest.approx(2, rel=1e-6)  # no correlation, in rows or columns
    assert student.grad is not None
    assert student.grad.abs().max() == 0


def test_a_student_who_says_the_same_of_every_sample_still_learns_the_classes() -> None:
    _, teacher, _ = closed_form_logits()
    student = teacher.roll(1, 1)[:1].expand(4, 5).clone().requires_grad_()
    dist_loss(student, teacher, temperature=1.0).backward()
    full_gradient = student.grad
    alone = student.detach().clone().requires_grad_()
    dist_loss(alone, teacher, intra_weight=0, temperature=1.0).backward()
    torch.testing.assert_close(full_gradient, alone.grad)
    assert full_gradient is not None
    assert full_gradient.abs().max() > 0


def test_nearly_equal_outputs_are_still_correlated() -> None:
    _, teacher, _ = closed_form_logits()
    student = (1e-4 * teacher).float()
    squeezed = dist_loss(student, teacher.float(), temperature=1.0).item()
    exact = dist_loss(1e-4 * teacher, teacher, temperature=1.0).item()
    assert squeezed == pytest.approx(exact, rel=1e-2)
    assert exact < 2


def test_a_constant_added_to_a_row_does_not_matter() -> None:
    student, teacher, _ = closed_form_logits()
    shift = torch.tensor([[1.0], [-20.0], [3.0], [0.5]]).double()
    torch.testing.assert_close(dist_loss(student + shift, teacher - shift), dist_loss(student, teacher))


def test_a_batch_of_one_has_the_first_part_alone_and_says_so_once() -> None:
    student, teacher, _ = closed_form_logits()
    full_gradient, first = dist_loss(student[:1], teacher[:1]), dist_loss(student[:1], teacher[:1], intra_weight=0)
    assert full_gradient.item() == first.item() > 0
    objective = DIST()
    with pytest.warns(UserWarning, match="dist of a batch of one"):
        assert objective(student[:1], teacher[:1]).item() == first.item()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective(student[:1], teacher[:1])


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda logits: dist_loss(logits, teacher), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        DIST(temperature=0)
    with pytest.raises(ValueError, match="temperature: -2 is not above 0"):
        dist_loss(torch.zeros(2, 3), torch.zeros(2, 3), temperature=-2)
