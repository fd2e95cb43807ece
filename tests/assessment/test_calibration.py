from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.assessment.calibration import (
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)


def probabilities(rows: list[list[float]]) -> torch.Tensor:
    """Return logits whose softmax is these rows."""
    return torch.tensor(rows).double().clamp_min(1e-12).log()


def test_ece_by_hand() -> None:
    """Two samples at confidence 0.9, one right; two at 0.6, both right: |0.5-0.9| / 2 + |1-0.6| / 2."""
    logits = probabilities([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    assert expected_calibration_error(logits, torch.tensor([0, 1, 0, 1])) == pytest.approx(0.4)


def test_bins_are_closed_on_the_right() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.01, 0.0]])  # confidence of exactly 1/2, and just above
    assert [bar.count for bar in reliability(logits, torch.tensor([0, 0]), bins=2)] == [1, 1]


def test_a_perfectly_calibrated_network_goes_to_zero() -> None:
    random = torch.Generator().manual_seed(0)
    p = 0.5 + 0.5 * torch.rand(200_000, generator=random)
    labels = (torch.rand(200_000, generator=random) > p).long()
    logits = torch.stack([p, 1 - p], 1).log()
    assert expected_calibration_error(logits, labels) < 0.005


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_does_not_matter_and_counts_add_up(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(50, 3, generator=random), torch.randint(0, 3, (50,), generator=random)
    order = torch.randperm(50, generator=random)
    assert sum(bar.count for bar in reliability(logits, labels)) == 50
    assert expected_calibration_error(logits[order], labels[order]) == pytest.approx(
        expected_calibration_error(logits, labels)
    )


def test_errors() -> None:
    with pytest.raises(ValueError, match="bins: 0 is below 1"):
        reliability(torch.zeros(1, 2), torch.tensor([0]), bins=0)


def test_equal_mass_by_plain_python() -> None:
    random = torch.Generator().manual_seed(3)
    logits, labels = 2 * torch.randn(60, 4, generator=random), torch.randint(0, 4, (60,), generator=random)
    confidence, choice = logits.double().softmax(1).max(1)
    rows = sorted(zip(confidence.tolist(), (choice == labels).tolist(), strict=True))
    bins = [rows[12 * k : 12 * (k + 1)] for k in range(5)]  # 60 different confidences in 5 bins
    expected = sum(abs(sum(r for _, r in rows_in_bin) - sum(c for c, _ in rows_in_bin)) for rows_in_bin in bins) / 60
    assert expected_calibration_error(logits, labels, bins=5, kind="mass") == pytest.approx(expected)
    assert [bar.count for bar in reliability(logits, labels, bins=5, kind="mass")] == [12] * 5


def test_equal_confidences_stay_together() -> None:
    logits = probabilities([[0.7, 0.3]] * 6 + [[0.9, 0.1]] * 2)
    counts = [bar.count for bar in reliability(logits, torch.zeros(8, dtype=torch.long), bins=4, kind="mass")]
    assert sorted(count for count in counts if count) == [2, 6]


def test_the_largest_error_of_a_bin() -> None:
    logits = probabilities([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    assert maximum_calibration_error(logits, torch.tensor([0, 1, 0, 1])) == pytest.approx(0.4)
    assert maximum_calibration_error(logits, torch.tensor([1, 1, 0, 1])) == pytest.approx(0.9)


def test_classwise_by_plain_python() -> None:
    random = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(40, 3, generator=random), torch.randint(0, 3, (40,), generator=random)
    probabilities = logits.double().softmax(1).tolist()
    errors = []
    for c in range(3):
        bins: dict[int, list[tuple[float, bool]]] = {}
        for row, label in zip(probabilities, labels.tolist(), strict=True):
            place = next(b for b in range(10) if row[c] <= (b + 1) / 10)
            bins.setdefault(place, []).append((row[c], label == c))
        errors.append(sum(abs(sum(h for _, h in pairs) - sum(q for q, _ in pairs)) for pairs in bins.values()) / 40)
    assert classwise_calibration_error(logits, labels, bins=10) == pytest.approx(sum(errors) / 3)


def test_base_rates_are_calibrated_class_by_class() -> None:
    """A network that always says the base rates is never wrong about them, however little it knows."""
    logits = probabilities([[0.5, 0.25, 0.25]] * 8)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    assert classwise_calibration_error(logits, labels) == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(logits, labels) == pytest.approx(0, abs=1e-12)
