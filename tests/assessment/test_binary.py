"""Against slow definitions, and limits."""

from __future__ import annotations

import inspect

import pytest
import torch

from preceptor.assessment import measure, measure_binary


def logits_of(log_odds: list[float]) -> torch.Tensor:
    return torch.tensor([[0.0, z] for z in log_odds], dtype=torch.float64)


def test_auroc_counts_pairs_in_the_right_order() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = (3 * torch.randn(60, generator=generator)).round()  # with ties
    labels = (torch.rand(60, generator=generator) < 0.3).long()
    wins, pairs = 0.0, 0
    for positive in scores[labels == 1].tolist():
        for negative in scores[labels == 0].tolist():
            wins += 1.0 if positive > negative else 0.5 if positive == negative else 0.0
            pairs += 1
    assert measure_binary(logits_of(scores.tolist()), labels).auroc == pytest.approx(wins / pairs)


def test_average_precision_f1_and_balanced_accuracy_by_hand() -> None:
    # in order of score: +, -, +, -, +; taken for positive: the first four
    labels = torch.tensor([1, 0, 1, 0, 1])
    scores = measure_binary(logits_of([4.0, 3.0, 2.0, 1.0, -1.0]), labels)
    assert scores.average_precision == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    assert scores.f1 == pytest.approx(2 * 2 / (2 * 2 + 2 + 1))
    assert scores.balanced_accuracy == pytest.approx((2 / 3 + 0 / 2) / 2)
    assert scores.prevalence == pytest.approx(0.6)


def test_only_the_difference_of_logits_counts() -> None:
    logits, labels = torch.randn(40, 2), torch.arange(40) % 2
    shifted = logits.double() + torch.randn(40, 1).double()
    one, other = measure_binary(logits.double(), labels), measure_binary(shifted, labels)
    assert one.auroc == pytest.approx(other.auroc)
    assert one.f1 == other.f1


def test_a_network_that_knows_nothing() -> None:
    labels = torch.tensor([1] * 10 + [0] * 90)
    scores = measure_binary(torch.zeros(100, 2), labels)
    assert scores.average_precision == pytest.approx(0.1)
    assert (scores.auroc, scores.f1) == (0.5, 0.0)
    assert scores.balanced_accuracy == 0.5


def test_what_is_not_defined_is_none_and_left_out() -> None:
    negative = measure_binary(logits_of([-1.0, -2.0]), torch.tensor([0, 0]))
    assert (negative.auroc, negative.average_precision, negative.f1) == (None, None, None)
    positive = measure_binary(logits_of([-1.0, 2.0]), torch.tensor([1, 1]))
    assert positive.auroc is None
    assert positive.average_precision == 1
    flat = measure(logits_of([-1.0, -2.0]), torch.tensor([0, 0])).as_dict()
    assert "auroc" not in flat
    assert flat["balanced_accuracy"] == 1


def test_they_stand_where_there_are_two_classes_and_nowhere_else() -> None:
    names = {"auroc", "average_precision", "f1", "balanced_accuracy", "prevalence"}
    assert names <= set(measure(torch.randn(20, 2), torch.arange(20) % 2).as_dict())
    assert not names & set(measure(torch.randn(20, 3), torch.arange(20) % 3).as_dict())
    with pytest.raises(ValueError, match="logits: 3 classes, expected 2"):
        inspect.unwrap(measure_binary)(torch.randn(2, 3), torch.tensor([0, 1]))
