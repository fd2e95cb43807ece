"""Against slow definitions, and limits."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

from preceptor.assessment import measure, measure_binary, measure_multilabel


def some(samples: int = 30, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    labels = (torch.rand(samples, classes, generator=generator) < torch.sigmoid(logits / 2)).long()
    return logits, labels


def test_nll_and_brier_are_sums_over_classes_of_those_of_two() -> None:
    logits, labels = some()
    nll = brier = 0.0
    for row, present in zip(logits.tolist(), labels.tolist(), strict=True):
        for z, y in zip(row, present, strict=True):
            p = 1 / (1 + math.exp(-z))
            nll -= math.log(p if y else 1 - p)
            brier += (p - y) ** 2 + ((1 - p) - (1 - y)) ** 2
    scores = measure(logits, labels)
    assert scores.nll == pytest.approx(nll / 30, rel=1e-10)
    assert scores.brier == pytest.approx(brier / 30, rel=1e-10)


def test_macro_is_the_mean_over_classes_and_micro_all_pairs_at_once() -> None:
    logits, labels = some()
    columns = [
        measure_binary(torch.stack([torch.zeros(30).double(), z], 1), y.long())
        for z, y in zip(logits.T, labels.T, strict=True)
    ]
    flat = torch.stack([torch.zeros(120).double(), logits.flatten()], 1)
    pooled = measure_binary(flat, labels.flatten().long())
    scores = measure_multilabel(logits, labels)
    assert scores.macro_auroc == pytest.approx(sum(column.auroc or 0 for column in columns) / 4)
    assert scores.macro_average_precision == pytest.approx(sum(column.average_precision or 0 for column in columns) / 4)
    assert scores.macro_f1 == pytest.approx(sum(column.f1 or 0 for column in columns) / 4)
    assert (scores.micro_auroc, scores.micro_average_precision) == (pooled.auroc, pooled.average_precision)
    assert scores.micro_f1 == pytest.approx(pooled.f1)
    assert scores.prevalence == pytest.approx(pooled.prevalence)


def test_accuracy_and_exact_match_by_hand() -> None:
    labels = torch.tensor([[1, 0, 1], [0, 0, 0]])
    scores = measure(torch.tensor([[2.0, -1.0, 3.0], [-1.0, 1.0, -1.0]]), labels)
    assert scores.accuracy == pytest.approx(5 / 6)
    assert scores.multilabel is not None
    assert scores.multilabel.exact_match == 0.5
    assert scores.multilabel.micro_f1 == pytest.approx(2 * 2 / (2 + 3))


def test_a_class_that_never_occurs_is_left_out_of_what_it_cannot_have() -> None:
    labels = torch.tensor([[1, 0], [0, 0], [1, 0]])
    scores = measure_multilabel(torch.tensor([[1.0, -1.0], [-1.0, -1.0], [2.0, -2.0]]), labels)
    assert (scores.macro_auroc, scores.macro_average_precision, scores.macro_f1) == (1.0, 1.0, 1.0)
    nothing = measure(torch.full((3, 2), -1.0), torch.zeros(3, 2, dtype=torch.long)).as_dict()
    assert nothing["accuracy"] == 1
    assert not {"micro_auroc", "macro_auroc", "micro_f1", "micro_average_precision"} & set(nothing)


def test_what_has_no_meaning_is_left_out() -> None:
    flat = measure(*some()).as_dict()
    assert not {"ece", "top5", "auroc", "truth_mse"} & set(flat)
    assert {"accuracy", "exact_match", "nll", "brier", "macro_auroc", "micro_f1"} <= set(flat)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"labels: \(2, 3\) for logits \(2, 2\) are not"):
        inspect.unwrap(measure)(torch.zeros(2, 2), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="are not a 0 or 1 for each"):
        inspect.unwrap(measure)(torch.zeros(2, 2), torch.full((2, 2), 0.5))
