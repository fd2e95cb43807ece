from __future__ import annotations

import math

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.teacher.cross_entropy import CrossEntropy, cross_entropy_loss
from preceptor.types import Outputs
from vectors import closed_form_logits, softmax_rows


def test_definition() -> None:
    logits, _, labels = closed_form_logits()
    expected = -sum(math.log(row[y]) for row, y in zip(softmax_rows(logits), labels.tolist(), strict=True)) / 4
    assert cross_entropy_loss(logits, labels).item() == pytest.approx(expected, rel=1e-12)


def test_tabulated() -> None:
    logits, _, labels = closed_form_logits()
    assert cross_entropy_loss(logits, labels).item() == pytest.approx(2.935107624, rel=1e-9)


def test_by_hand() -> None:
    assert cross_entropy_loss(torch.zeros(3, 4), torch.tensor([0, 1, 3])).item() == pytest.approx(math.log(4))


def test_gradient_is_probabilities_less_labels() -> None:
    logits, _, labels = closed_form_logits()
    cross_entropy_loss(logits.requires_grad_(), labels).backward()
    expected = (torch.softmax(logits, 1) - torch.nn.functional.one_hot(labels, 5)) / 4
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, expected.detach())


def test_a_confident_right_answer_costs_nothing() -> None:
    assert cross_entropy_loss(torch.tensor([[1e4, 0.0]]), torch.tensor([0])).item() == 0


def test_gradcheck() -> None:
    logits, _, labels = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: cross_entropy_loss(z, labels), logits.requires_grad_())


def test_mixed_labels_make_the_mixture_of_losses() -> None:
    """Cross-entropy is linear in the target: mixup's lambda CE(y) + (1 - lambda) CE(y')."""
    logits, _, labels = closed_form_logits()
    partner, one_hot = labels.flip(0), torch.nn.functional.one_hot(labels, 5).double()
    mixed = 0.3 * one_hot + 0.7 * one_hot.flip(0)
    expected = 0.3 * cross_entropy_loss(logits, labels) + 0.7 * cross_entropy_loss(logits, partner)
    torch.testing.assert_close(cross_entropy_loss(logits, mixed), expected)
    torch.testing.assert_close(cross_entropy_loss(logits, one_hot), cross_entropy_loss(logits, labels))


def context(labels: torch.Tensor, num_classes: int) -> BuildContext:
    return BuildContext(len(labels), num_classes, Outputs(torch.zeros(2, num_classes)), None, labels=labels)


def test_class_weights_by_definition() -> None:
    logits, _, labels = closed_form_logits()
    weights = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    rows = zip(softmax_rows(logits), labels.tolist(), strict=True)
    expected = -sum(weights[y].item() * math.log(row[y]) for row, y in rows) / 4
    assert cross_entropy_loss(logits, labels, class_weights=weights).item() == pytest.approx(expected, rel=1e-12)
    ones = torch.ones(5, dtype=torch.float64)
    assert cross_entropy_loss(logits, labels, class_weights=ones).item() == cross_entropy_loss(logits, labels).item()


def test_balanced_weights_count_the_training_split() -> None:
    labels = torch.tensor([0] * 9 + [1] * 3)
    objective = CrossEntropy(class_weights="balanced")
    objective.build(context(labels, 2))
    assert objective.class_weights is not None
    assert objective.class_weights.tolist() == pytest.approx([12 / 18, 12 / 6])
    assert objective.class_weights[labels].mean().item() == pytest.approx(1)
    # what knows nothing best says "equal", whatever the shares
    logits = torch.zeros(12, 2, requires_grad=True)
    objective(logits, labels).backward()
    assert logits.grad is not None
    assert logits.grad.sum(0).abs().max().item() < 1e-6
    assert not objective.state_dict()


@pytest.mark.parametrize("weights", [(1.0, -1.0), (0.0, 0.0), (math.inf, 1.0)])
def test_weights_that_cannot_be(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="class_weights: "):
        CrossEntropy(class_weights=weights)


def test_weights_that_do_not_fit_the_data() -> None:
    with pytest.raises(UsageError, match="class_weights: 2 for 3 classes; one each"):
        CrossEntropy(class_weights=(1.0, 2.0)).build(context(torch.tensor([0, 1, 2]), 3))
    with pytest.raises(UsageError, match="class_weights: class 1 has no training samples to balance"):
        CrossEntropy(class_weights="balanced").build(context(torch.tensor([0, 2]), 3))
