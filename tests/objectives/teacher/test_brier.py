from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
import torch

from preceptor.objectives.teacher.brier import Variant, brier_loss
from preceptor.objectives.teacher.consistency import consistency_loss
from preceptor.objectives.teacher.cross_entropy import cross_entropy_loss
from vectors import GOLDEN, closed_form_logits, softmax_rows


def test_definition() -> None:
    logits, _, labels = closed_form_logits()
    total = 0.0
    for row, y in zip(softmax_rows(logits), labels.tolist(), strict=True):
        total += sum((p - (c == y)) ** 2 for c, p in enumerate(row)) / 4
    assert brier_loss(logits, labels).item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    case = json.loads((GOLDEN / "teacher.json").read_text())["brier"][number]
    with np.load(GOLDEN / case["arrays"], allow_pickle=False) as arrays:
        logits, labels = torch.from_numpy(arrays["logits"]).requires_grad_(), torch.from_numpy(arrays["labels"])
        gradient = torch.from_numpy(arrays["grad_logits"])
    value = brier_loss(logits, labels)
    value.backward()
    assert value.item() == pytest.approx(case["loss"], rel=1e-4)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad.double(), gradient.double(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("variant", "expected"), [("sum", 1.214234833), ("mse_mean", 0.2428469666), ("logit_mse", 2.711259848)]
)
def test_tabulated(variant: Variant, expected: float) -> None:
    logits, _, labels = closed_form_logits()
    assert brier_loss(logits, labels, variant=variant).item() == pytest.approx(expected, rel=1e-9)


def test_by_hand() -> None:
    assert brier_loss(torch.zeros(1, 4), torch.tensor([2])).item() == pytest.approx(0.75**2 + 3 * 0.25**2)
    value = brier_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), variant="logit_mse")
    assert value.item() == pytest.approx(0.5)


def test_the_sum_is_classes_times_the_mean_in_its_gradient_too() -> None:
    logits, _, labels = closed_form_logits()
    gradients = []
    for variant in ("sum", "mse_mean"):
        value = brier_loss(logits.requires_grad_(), labels, variant=variant)  # type: ignore[arg-type]
        gradients.append(torch.autograd.grad(value, logits)[0])
    torch.testing.assert_close(gradients[0], 5 * gradients[1])


def test_gradient_is_twice_the_jacobian_times_the_error() -> None:
    logits, _, labels = closed_form_logits()
    (gradient,) = torch.autograd.grad(brier_loss(logits.requires_grad_(), labels), logits)
    for row, (z, y) in enumerate(zip(logits.detach(), labels, strict=True)):
        p = torch.softmax(z, 0)
        error = p - torch.nn.functional.one_hot(y, 5)
        expected = 2 / 4 * (torch.diag(p) - torch.outer(p, p)) @ error
        torch.testing.assert_close(gradient[row], expected)


def test_it_is_bounded_by_2_and_0_only_at_the_label() -> None:
    wrong = brier_loss(torch.tensor([[1e4, 0.0]]), torch.tensor([1]))
    right = brier_loss(torch.tensor([[1e4, 0.0]]), torch.tensor([0]))
    assert (wrong.item(), right.item()) == (2.0, 0.0)


def test_the_mse_theorem_by_enumeration() -> None:
    """E||y - p||^2 - E||p* - p||^2 = E[1 - ||p*||^2] for every p, and likewise for cross-entropy (Hamidi et al. 2024)."""
    torch.manual_seed(0)
    truth = torch.softmax(torch.randn(6, 5).double(), 1)
    for seed in range(4):
        logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)).double()
        expected_brier, expected_entropy = 0.0, 0.0
        for row in range(6):
            for label in range(5):
                weight = truth[row, label].item() / 6
                one = (logits[row : row + 1], torch.tensor([label]))
                expected_brier += weight * brier_loss(*one).item()
                expected_entropy += weight * cross_entropy_loss(*one).item()
        probabilities = torch.softmax(logits, 1)
        fit, irreducible = (probabilities - truth).square().sum(1).mean(), (1 - truth.square().sum(1)).mean()
        assert expected_brier == pytest.approx((fit + irreducible).item(), rel=1e-10)
        assert expected_entropy == pytest.approx(-(truth * probabilities.log()).sum(1).mean().item(), rel=1e-10)


def test_brier_plus_consistency_is_brier_to_a_softened_target() -> None:
    """||p - y||^2 + w ||p - s||^2 = (1 + w) ||p - (y + w s) / (1 + w)||^2 + constant in p."""
    _, teacher, labels = closed_form_logits()
    earlier, weight = torch.softmax(teacher, 1), 0.7
    target = (torch.nn.functional.one_hot(labels, 5) + weight * earlier) / (1 + weight)
    constants = []
    for seed in range(3):
        logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed)).double()
        total = brier_loss(logits, labels) + weight * consistency_loss(logits, earlier)
        softened = (1 + weight) * (torch.softmax(logits, 1) - target).square().sum(1).mean()
        constants.append((total - softened).item())
    assert constants == pytest.approx([constants[0]] * 3, rel=1e-9)


@pytest.mark.parametrize("variant", ["sum", "mse_mean", "logit_mse"])
def test_gradcheck(variant: Variant) -> None:
    logits, _, labels = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: brier_loss(z, labels, variant=variant), logits.requires_grad_())


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(ValueError, match="variant: unknown 'mean'; there are sum, mse_mean, logit_mse"):
        inspect.unwrap(brier_loss)(torch.zeros(1, 2), torch.tensor([0]), variant="mean")


def test_a_target_distribution_is_reached_by_its_own_logits_only() -> None:
    """With mixed labels the loss is the squared distance to the mixture, not the mixture of losses."""
    logits, _, labels = closed_form_logits()
    target = torch.softmax(logits, 1)
    assert brier_loss(logits, target).item() == pytest.approx(0, abs=1e-15)
    one_hot = torch.nn.functional.one_hot(labels, 5).double()
    mixed = 0.3 * one_hot + 0.7 * one_hot.flip(0)
    expected = (target - mixed).square().sum(1).mean()
    torch.testing.assert_close(brier_loss(logits, mixed), expected)
    torch.testing.assert_close(brier_loss(logits, one_hot), brier_loss(logits, labels))
