"""Whether confidence means what it says: reliability bins and the errors over them, in float64.

Binned errors are biased upward for few samples and many bins: compare them only at equal bins and sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from preceptor.assessment.devices import on_cpu

__all__ = [
    "Bin",
    "binned",
    "classwise_calibration_error",
    "expected_calibration_error",
    "maximum_calibration_error",
    "reliability",
]

Kind = Literal["width", "mass"]


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a reliability diagram: how many samples, their mean confidence, the share that is right."""

    count: int
    confidence: float
    accuracy: float


@on_cpu
def reliability(
    logits: Float[Tensor, "samples classes"],
    labels: Int[Tensor, " samples"],
    *,
    bins: int = 15,
    kind: Kind = "width",
) -> list[Bin]:
    """Return bins of the largest probability of each sample, and how often its class was right.

    Args:
        logits: of the network.
        labels: classes.
        bins: how many; empty ones are returned with count 0.
        kind: "width": equal intervals of [0, 1], closed on the right, a confidence of 0 in the first; "mass": as many
            samples in each, equal confidences kept together.

    Raises:
        ValueError: for fewer than one bin.
    """
    confidence, predicted = torch.softmax(logits.double(), 1).max(1)
    right = (predicted == labels).double()
    count, (mean, accuracy) = binned(confidence, (confidence, right), bins, kind)
    return [Bin(int(n), float(c), float(a)) for n, c, a in zip(count, mean, accuracy, strict=True)]


@on_cpu
def expected_calibration_error(
    logits: Float[Tensor, "samples classes"],
    labels: Int[Tensor, " samples"],
    *,
    bins: int = 15,
    kind: Kind = "width",
) -> float:
    """Return sum_b (n_b / n) |accuracy_b - confidence_b| over the bins of `reliability`.

    Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017), equation 3; equal mass:
    Nixon, Dusenberry, Zhang, Jerfel, Tran, "Measuring Calibration in Deep Learning" (CVPR workshops 2019).

    Examples:
        >>> sure = torch.tensor([[100.0, 0.0], [100.0, 0.0]])
        >>> expected_calibration_error(sure, torch.tensor([0, 1]))
        0.5
    """
    table = reliability(logits, labels, bins=bins, kind=kind)
    return sum(b.count * abs(b.accuracy - b.confidence) for b in table) / max(sum(b.count for b in table), 1)


@on_cpu
def maximum_calibration_error(
    logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"], *, bins: int = 15
) -> float:
    """Return the largest |accuracy_b - confidence_b| over the non-empty equal-width bins (Guo et al., equation 4).

    Examples:
        >>> maximum_calibration_error(torch.tensor([[100.0, 0.0], [0.0, 0.0]]), torch.tensor([1, 0]))
        1.0
    """
    return max(abs(b.accuracy - b.confidence) for b in reliability(logits, labels, bins=bins) if b.count)


@on_cpu
def classwise_calibration_error(
    logits: Float[Tensor, "samples classes"],
    labels: Int[Tensor, " samples"],
    *,
    bins: int = 15,
    kind: Kind = "width",
) -> float:
    """Return the mean over classes of sum_b (n_b / n) |share of the class_b - its mean probability_b|.

    Source: Kull et al., "Beyond temperature scaling" (NeurIPS 2019), equation 4 ("classwise-ECE").

    Examples:
        >>> sure = torch.tensor([[100.0, 0.0], [100.0, 0.0]])
        >>> classwise_calibration_error(sure, torch.tensor([0, 1]))
        0.5
    """
    probability = torch.softmax(logits.double(), 1)
    errors = []
    for label, column in enumerate(probability.T):
        count, (mean, share) = binned(column, (column, (labels == label).double()), bins, kind)
        errors.append(float((count * (share - mean).abs()).sum() / len(column)))
    return sum(errors) / len(errors)


def binned(values: Tensor, means_of: tuple[Tensor, ...], bins: int, kind: Kind) -> tuple[Tensor, list[Tensor]]:
    """Return how many values each bin holds, and the mean of each quantity in it (0 where it is empty)."""
    if bins < 1:
        raise ValueError(f"bins: {bins} is below 1")
    if kind == "width":
        place = (torch.ceil(values * bins) - 1).clamp(0, bins - 1).long()
    else:
        inner = torch.quantile(values, torch.arange(1, bins, dtype=values.dtype) / bins)
        place = torch.bucketize(values, inner)  # a value at an edge belongs below it, with all its equals
    count = torch.bincount(place, minlength=bins)
    return count, [
        torch.bincount(place, weights=quantity, minlength=bins) / count.clamp_min(1) for quantity in means_of
    ]
