from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from preceptor.objectives.teacher.cross_entropy import cross_entropy_loss
from preceptor.objectives.teacher.label_smoothing import LabelSmoothing, label_smoothing_loss
from vectors import GOLDEN, closed_form_logits


@pytest.mark.parametrize("off_target_only", [False, True])
def test_definition(off_target_only: bool) -> None:
    logits, _, labels = closed_form_logits()
    target = 0.7 * functional.one_hot(labels, 5).double()
    target += 0.3 / 4 * (1 - functional.one_hot(labels, 5)) if off_target_only else 0.3 / 5
    value = label_smoothing_loss(logits, labels, smoothing=0.3, off_target_only=off_target_only)
    torch.testing.assert_close(value, -(target * torch.log_softmax(logits, 1)).sum(1).mean())


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    case = json.loads((GOLDEN / "teacher.json").read_text())["label_smoothing"][number]
    with np.load(GOLDEN / case["arrays"], allow_pickle=False) as arrays:
        logits, labels = torch.from_numpy(arrays["logits"]).requires_grad_(), torch.from_numpy(arrays["labels"])
        gradient = torch.from_numpy(arrays["grad_logits"])
    value = label_smoothing_loss(logits, labels, smoothing=case["smoothing"])
    value.backward()
    assert value.item() == pytest.approx(case["loss"], rel=1e-4)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad.double(), gradient.double(), rtol=1e-3, atol=1e-6)


def test_tabulated() -> None:
    logits, _, labels = closed_form_logits()
    assert label_smoothing_loss(logits, labels).item() == pytest.approx(2.888420319, rel=1e-9)


def test_without_smoothing_it_is_cross_entropy() -> None:
    logits, _, labels = closed_form_logits()
    torch.testing.assert_close(label_smoothing_loss(logits, labels, smoothing=0.0), cross_entropy_loss(logits, labels))


def test_it_is_least_at_the_smoothed_target() -> None:
    best = torch.tensor([[0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]]).double().log()
    least = label_smoothing_loss(best, torch.tensor([0]))
    for step in 0.1 * torch.eye(3).double():
        assert label_smoothing_loss(best + step, torch.tensor([0])) > least


def test_gradcheck() -> None:
    logits, _, labels = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: label_smoothing_loss(z, labels), logits.requires_grad_())


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_errors(smoothing: float) -> None:
    with pytest.raises(ValueError, match=r"smoothing: .* is not in \[0, 1\)"):
        LabelSmoothing(smoothing)
    with pytest.raises(ValueError, match="smoothing"):
        label_smoothing_loss(torch.zeros(1, 2), torch.tensor([0]), smoothing=smoothing)


@pytest.mark.parametrize("off_target_only", [False, True])
def test_mixed_labels_make_the_mixture_of_losses(off_target_only: bool) -> None:
    logits, _, labels = closed_form_logits()
    one_hot = torch.nn.functional.one_hot(labels, 5).double()

    def loss(target: torch.Tensor) -> torch.Tensor:
        return label_smoothing_loss(logits, target, smoothing=0.2, off_target_only=off_target_only)

    expected = 0.3 * loss(labels) + 0.7 * loss(labels.flip(0))
    torch.testing.assert_close(loss(0.3 * one_hot + 0.7 * one_hot.flip(0)), expected)
