from __future__ import annotations

import pytest
import torch

from preceptor.assessment import distance_to_truth, measure, profile


def test_everything_at_once_and_flat() -> None:
    logits, labels = torch.randn(10, 6), torch.arange(10) % 6
    truth = torch.softmax(torch.randn(10, 6), 1)
    metrics = measure(logits, labels, truth)
    flat = metrics.as_dict()
    assert flat["samples"] == 10
    assert metrics.truth == distance_to_truth(logits, truth)
    assert flat["truth_mse"] == metrics.truth.mse
    assert "top5" in flat
    assert "truth" not in flat


def test_what_is_unknown_is_left_out() -> None:
    flat = measure(torch.randn(4, 3), torch.tensor([0, 1, 2, 0])).as_dict()
    assert set(flat) == {"samples", "accuracy", "nll", "brier", "ece"}


def test_half_precision_logits_are_scored_in_float64() -> None:
    logits, labels = torch.randn(50, 5), torch.arange(50) % 5
    assert measure(logits.bfloat16(), labels).nll == pytest.approx(measure(logits.bfloat16().double(), labels).nll)


def test_errors() -> None:
    with pytest.raises(ValueError, match="no samples"):
        measure(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match=r"labels: 0\.\.3 are not all in 0\.\.2"):
        measure(torch.zeros(2, 3), torch.tensor([0, 3]))


def test_a_profile_holds_every_number_by_name() -> None:
    logits, labels = torch.randn(40, 7), torch.arange(40) % 7
    profiled = profile(logits, labels)
    flat = profiled.as_dict()
    assert set(flat) == {
        *("samples", "accuracy", "top5", "nll", "brier", "ece"),
        *("brier_reliability", "brier_resolution", "brier_uncertainty", "brier_remainder"),
        *("macro_accuracy", "ece_equal_mass", "mce", "classwise_ece", "confidence", "entropy", "sharpness"),
    }
    assert flat["ece"] == measure(logits, labels).ece
    assert sum(bar.count for bar in profiled.bars) == 40
