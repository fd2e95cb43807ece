from __future__ import annotations

import inspect
import math

import pytest
import torch

from preceptor.assessment import compare

RANDOM = torch.Generator().manual_seed(0)
OWN = torch.randn(30, 8, generator=RANDOM)
OTHER = OWN + 0.7 * torch.randn(30, 8, generator=RANDOM)
LABELS = torch.randint(0, 8, (30,), generator=RANDOM)


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    exponentials = [math.exp(z / temperature) for z in row]
    return [e / sum(exponentials) for e in exponentials]


def divergence(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_against_plain_python() -> None:
    own, other, labels = OWN.double().tolist(), OTHER.double().tolist(), LABELS.tolist()
    got = compare(OWN, OTHER, LABELS, temperature=3.0)

    def first(row: list[float], n: int) -> list[int]:
        return sorted(range(8), key=lambda c: -row[c])[:n]

    equal = [first(a, 1) == first(b, 1) for a, b in zip(own, other, strict=True)]
    right = [first(b, 1)[0] == y for b, y in zip(other, labels, strict=True)]
    assert got.agreement == pytest.approx(sum(equal) / 30)
    assert got.agreement_where_right == pytest.approx(
        sum(e for e, r in zip(equal, right, strict=True) if r) / sum(right)
    )
    assert got.agreement_where_wrong == pytest.approx(
        sum(e for e, r in zip(equal, right, strict=True) if not r) / (30 - sum(right))
    )
    pairs = list(zip(own, other, strict=True))
    assert got.top5_contains == pytest.approx(sum(first(b, 1)[0] in first(a, 5) for a, b in pairs) / 30)
    assert got.top5_overlap == pytest.approx(sum(len(set(first(a, 5)) & set(first(b, 5))) for a, b in pairs) / 150)
    assert got.kl == pytest.approx(sum(divergence(softmax(b), softmax(a)) for a, b in pairs) / 30)
    assert got.kl_softened == pytest.approx(sum(divergence(softmax(b, 3), softmax(a, 3)) for a, b in pairs) / 30)
    middle = [[(p + q) / 2 for p, q in zip(softmax(a), softmax(b), strict=True)] for a, b in pairs]
    assert got.jensen_shannon == pytest.approx(
        sum(
            (divergence(softmax(a), m) + divergence(softmax(b), m)) / 2 for (a, b), m in zip(pairs, middle, strict=True)
        )
        / 30
    )
    assert got.total_variation == pytest.approx(
        sum(abs(p - q) for a, b in pairs for p, q in zip(softmax(a), softmax(b), strict=True)) / 60
    )


def test_a_network_is_wholly_like_itself_and_like_a_shifted_self() -> None:
    for other in (OWN, OWN + 5.0):
        got = compare(OWN, other, LABELS)
        assert (got.agreement, got.top5_contains, got.top5_overlap) == (1, 1, 1)
        assert (got.kl, got.jensen_shannon, got.total_variation, got.logit_distance) == pytest.approx(
            (0, 0, 0, 0), abs=1e-6
        )
        assert got.logit_correlation == pytest.approx(1)


def test_bounds_and_symmetry() -> None:
    one, two = compare(OWN, OTHER, LABELS), compare(OTHER, OWN, LABELS)
    assert one.jensen_shannon == pytest.approx(two.jensen_shannon)
    assert one.total_variation == pytest.approx(two.total_variation)
    assert one.kl != pytest.approx(two.kl)
    opposite = compare(1e3 * torch.eye(6), 1e3 * torch.eye(6).roll(1, 1), torch.arange(6))
    assert opposite.jensen_shannon == pytest.approx(math.log(2))
    assert opposite.total_variation == pytest.approx(1)
    assert opposite.agreement == 0


def test_a_reference_that_is_never_right_or_never_wrong() -> None:
    logits = torch.eye(3)
    assert compare(logits, logits, torch.arange(3)).agreement_where_wrong is None
    assert compare(logits, logits, torch.tensor([1, 2, 0])).agreement_where_right is None
    assert compare(logits, logits, torch.arange(3)).top5_contains is None


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 4\) differ"):
        inspect.unwrap(compare)(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="no samples to compare"):
        compare(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
