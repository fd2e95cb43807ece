from __future__ import annotations

import math

import pytest
import torch
from vectors import closed_form_logits, softmax_rows

from preceptor.objectives.teacher.cross_entropy import cross_entropy_loss


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
