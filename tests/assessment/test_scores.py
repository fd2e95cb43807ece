from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.assessment.scores import (
    accuracy,
    brier_decomposition,
    brier_score,
    entropy,
    macro_accuracy,
    nll,
    sharpness,
)


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


def test_macro_accuracy_weighs_classes_alike_and_skips_those_that_are_absent() -> None:
    logits = torch.nn.functional.one_hot(torch.tensor([0, 0, 0, 1]), 4).float()
    assert macro_accuracy(logits, torch.tensor([0, 0, 0, 2])) == pytest.approx((1 + 0) / 2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), bins=st.integers(1, 20))
def test_the_parts_of_the_brier_score_add_up(seed: int, bins: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits, labels = 2 * torch.randn(30, 4, generator=random), torch.randint(0, 4, (30,), generator=random)
    terms = brier_decomposition(logits, labels, bins=bins)
    total = terms.reliability - terms.resolution + terms.uncertainty + terms.remainder
    assert total == pytest.approx(brier_score(logits, labels))
    assert min(terms.reliability, terms.resolution) >= 0
    assert 0 <= terms.uncertainty <= 1 - 1 / 4


def test_brier_parts_by_hand() -> None:
    """Two bins per class: (0.8, 0.2) predicted four times and right three; (0.2, 0.8) predicted four times and right four."""
    logits = torch.tensor([[0.8, 0.2]] * 4 + [[0.2, 0.8]] * 4).log()
    terms = brier_decomposition(logits, torch.tensor([0, 0, 0, 1, 1, 1, 1, 1]), bins=2)
    assert terms.reliability == pytest.approx(2 * (0.05**2 + 0.2**2) / 2)
    assert terms.resolution == pytest.approx(2 * ((0.75 - 0.375) ** 2 + 0.375**2) / 2)
    assert terms.uncertainty == pytest.approx(2 * 0.375 * 0.625)
    assert terms.remainder == pytest.approx(0, abs=1e-7)


def test_what_is_constant_within_bins_has_no_remainder_and_what_is_not_has_one() -> None:
    logits = torch.tensor([[0.9, 0.1], [0.7, 0.3]]).log()
    assert brier_decomposition(logits, torch.tensor([0, 1]), bins=100).remainder == pytest.approx(0, abs=1e-7)
    assert abs(brier_decomposition(logits, torch.tensor([0, 1]), bins=2).remainder) > 0.01


def test_entropy_and_sharpness_at_their_ends() -> None:
    flat, certain = torch.zeros(2, 5), 1e3 * torch.eye(5)[:2]
    assert entropy(flat) == pytest.approx(math.log(5))
    assert sharpness(flat) == pytest.approx(1 / 5)
    assert entropy(certain) == pytest.approx(0, abs=1e-12)
    assert sharpness(certain) == pytest.approx(1)
