from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.assessment.truth import distance_to_truth


def test_by_hand() -> None:
    """q = (1/2, 1/2) against p* = (3/4, 1/4), twice."""
    metrics = distance_to_truth(torch.zeros(2, 2), torch.tensor([[0.75, 0.25]] * 2))
    assert metrics.mse == pytest.approx(2 * 0.25**2)
    assert metrics.l2 == pytest.approx(0.5)
    assert metrics.cross_entropy == pytest.approx(math.log(2))
    assert metrics.kl == pytest.approx(math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert metrics.total_variation == pytest.approx(0.25)
    assert metrics.bayes_accuracy == 0.75
    assert metrics.mse_per_entry == pytest.approx(0.25**2)
    assert metrics.reverse_kl == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
    assert metrics.irreducible_brier == pytest.approx(1 - 0.75**2 - 0.25**2)
    assert metrics.calibration_error == pytest.approx(0.25)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 5))
def test_inequalities_that_must_hold(seed: int, scale: float) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(20, 4, generator=random)
    truth = torch.softmax(torch.randn(20, 4, generator=random).double(), 1)
    m = distance_to_truth(logits, truth)
    assert 0 <= m.total_variation <= 1
    assert m.total_variation <= math.sqrt(m.kl / 2) + 1e-12  # Pinsker, and Jensen over samples
    assert m.total_variation**2 <= 4 / 4 * m.mse + 1e-12
    assert m.expected_accuracy <= m.bayes_accuracy + 1e-12
    assert m.kl >= -1e-12
    entropy = float(-(truth * truth.log()).sum(1).mean())
    assert m.kl == pytest.approx(m.cross_entropy - entropy)


def test_no_distance_at_the_truth_even_with_zeros() -> None:
    truth = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    m = distance_to_truth(truth.clamp_min(1e-30).log(), truth)
    assert (m.mse, m.kl, m.total_variation) == pytest.approx((0, 0, 0), abs=1e-12)


@pytest.mark.parametrize("truth", [[[0.5, 0.6]], [[1.5, -0.5]]])
def test_errors(truth: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="truth: its rows must be probabilities"):
        distance_to_truth(torch.zeros(1, 2), torch.tensor(truth))


def test_the_floored_cross_entropy_counts_no_more_than_ten_nats() -> None:
    metrics = distance_to_truth(torch.tensor([[50.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    assert metrics.cross_entropy == pytest.approx(50)
    assert metrics.cross_entropy_floored == pytest.approx(10)
    assert metrics.reverse_kl is None


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_expected_brier_score_is_the_distance_and_what_is_irreducible(seed: int) -> None:
    """The MSE theorem, labels enumerated: E|q - Y|^2 = |q - p*|^2 + 1 - |p*|^2 (Hamidi et al., ECCV 2024)."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(10, 4, generator=random)
    truth = torch.softmax(torch.randn(10, 4, generator=random).double(), 1)
    metrics, given_ = distance_to_truth(logits, truth), logits.double().softmax(1)
    expected = sum(
        truth[:, y] * (given_ - torch.nn.functional.one_hot(torch.tensor(y), 4)).square().sum(1) for y in range(4)
    )
    assert isinstance(expected, torch.Tensor)
    assert metrics.mse + metrics.irreducible_brier == pytest.approx(float(expected.mean()))
