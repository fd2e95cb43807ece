"""Accuracy, proper scores and calibration of logits against labels, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Bin", "accuracy", "brier_score", "expected_calibration_error", "nll", "reliability"]


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a reliability diagram: how many samples, their mean confidence, the share that is right."""

    count: int
    confidence: float
    accuracy: float


def accuracy(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"], *, top: int = 1) -> float:
    """Return the share of samples whose label is among the `top` largest logits.

    Example:
        >>> accuracy(torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, 2.0]]), torch.tensor([0, 1]))
        0.5
    """
    best = logits.topk(top, dim=1).indices
    return float((best == labels[:, None]).any(1).double().mean())


def nll(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    """Return the mean negative log-likelihood of the labels in nats."""
    return float(-torch.log_softmax(logits.double(), 1).gather(1, labels[:, None]).mean())


def brier_score(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    """Return the mean squared distance of softmax to one-hot, summed over classes, in [0, 2]."""
    given = torch.softmax(logits.double(), 1)
    target = torch.nn.functional.one_hot(labels, logits.shape[1])
    return float((given - target).square().sum(1).mean())


def reliability(
    logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"], *, bins: int = 15
) -> list[Bin]:
    """Return equal-width bins of confidence on [0, 1], right-closed, with a confidence of 0 in the first.

    Args:
        logits: of the network.
        labels: classes.
        bins: how many; empty ones are returned with count 0.

    Raises:
        ValueError: for fewer than one bin.
    """
    if bins < 1:
        raise ValueError(f"bins: {bins} is below 1")
    confidence, predicted = torch.softmax(logits.double(), 1).max(1)
    right = (predicted == labels).double()
    place = (torch.ceil(confidence * bins) - 1).clamp(0, bins - 1).long()
    count = torch.bincount(place, minlength=bins)
    sums = [
        torch.bincount(place, weights=values, minlength=bins) / count.clamp_min(1) for values in (confidence, right)
    ]
    return [Bin(int(n), float(c), float(a)) for n, c, a in zip(count, *sums, strict=True)]


def expected_calibration_error(
    logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"], *, bins: int = 15
) -> float:
    """Return sum_b (n_b / n) |accuracy_b - confidence_b| over the bins of `reliability`.

    Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017), equation 3. It is biased
    upward for few samples and many bins; compare it only at equal bins and sizes.

    Example:
        >>> sure = torch.tensor([[100.0, 0.0], [100.0, 0.0]])
        >>> expected_calibration_error(sure, torch.tensor([0, 1]))
        0.5
    """
    table = reliability(logits, labels, bins=bins)
    return sum(b.count * abs(b.accuracy - b.confidence) for b in table) / max(sum(b.count for b in table), 1)
