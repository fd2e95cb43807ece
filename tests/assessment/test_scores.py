from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.assessment.scores import accuracy, brier_score, expected_calibration_error, nll, reliability


def probabilities(rows: list[list[float]]) -> torch.Tensor:
    """Return logits whose softmax is these rows."""
    return torch.tensor(rows).double().clamp_min(1e-12).log()


def test_scores_by_plain_python() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 4), torch.randint(0, 4, (7,))
    rows = [[math.exp(z) / sum(math.exp(v) for v in row) for z in row] for row in logits.double().tolist()]
    known = labels.tolist()
    right = [row.index(max(row)) == y for row, y in zip(rows, known, strict=True)]
    assert accuracy(logits, labels) == pytest.approx(sum(right) / 7)
    assert nll(logits, labels) == pytest.approx(-sum(math.log(r[y]) for r, y in zip(rows, known, strict=True)) / 7)
    squares = [sum((p - (c == y)) ** 2 for c, p in enumerate(r)) for r, y in zip(rows, known, strict=True)]
    assert brier_score(logits, labels) == pytest.approx(sum(squares) / 7)


def test_top_five_counts_a_label_among_the_largest_five() -> None:
    logits = torch.arange(8.0).expand(3, 8)
    assert accuracy(logits, torch.tensor([7, 3, 2]), top=5) == pytest.approx(2 / 3)


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
