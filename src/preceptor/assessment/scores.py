"""Accuracy, proper scores, and how sure a network is: logits against labels, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = [
    "BrierParts",
    "accuracy",
    "brier_parts",
    "brier_score",
    "entropy",
    "macro_accuracy",
    "nll",
    "sharpness",
]


def accuracy(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"], *, top: int = 1) -> float:
    """Return the share of samples whose label is among the `top` largest logits.

    Example:
        >>> accuracy(torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, 2.0]]), torch.tensor([0, 1]))
        0.5
    """
    best = logits.topk(top, dim=1).indices
    return float((best == labels[:, None]).any(1).double().mean())


def macro_accuracy(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    """Return the accuracy of each class that occurs, averaged over these classes.

    Example:
        >>> macro_accuracy(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0, 1]))
        0.5
    """
    right = (logits.argmax(1) == labels).double()
    count = torch.bincount(labels, minlength=logits.shape[1])
    return float(
        (torch.bincount(labels, weights=right, minlength=logits.shape[1])[count > 0] / count[count > 0]).mean()
    )


def nll(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    """Return the mean negative log-likelihood of the labels in nats."""
    return float(-torch.log_softmax(logits.double(), 1).gather(1, labels[:, None]).mean())


def brier_score(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    """Return the mean squared distance of softmax to one-hot, summed over classes, in [0, 2]."""
    given = torch.softmax(logits.double(), 1)
    target = torch.nn.functional.one_hot(labels, logits.shape[1])
    return float((given - target).square().sum(1).mean())


@dataclass(frozen=True, slots=True)
class BrierParts:
    """Murphy's decomposition of the Brier score: reliability - resolution + uncertainty + remainder = score.

    Attributes:
        reliability: squared distance of what was said to what happened, bin by bin; 0 is perfect calibration.
        resolution: how far the bins' outcomes are from the classes' base rates; more is better.
        uncertainty: of the labels themselves.
        remainder: what the spread of probabilities within bins adds; 0 if each bin holds one value.
    """

    reliability: float
    resolution: float
    uncertainty: float
    remainder: float


def brier_parts(
    logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"], *, bins: int = 15
) -> BrierParts:
    """Return the parts of the Brier score over equal-width bins of each class's probability, summed over classes.

    Source: Murphy, "A new vector partition of the probability score" (1973); the within-bin remainder: Stephenson, Coelho,
    Jolliffe, "Two extra components in the Brier score decomposition" (2008).

    Args:
        logits: of the network.
        labels: classes.
        bins: a class.

    Example:
        >>> parts = brier_parts(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]))
        >>> parts.reliability, parts.resolution, parts.uncertainty, parts.remainder
        (0.0, 0.0, 0.5, 0.0)
    """
    given = torch.softmax(logits.double(), 1)
    happened = torch.nn.functional.one_hot(labels, logits.shape[1]).double()
    samples, num_classes = given.shape
    place = (torch.ceil(given * bins) - 1).clamp(0, bins - 1).long() + bins * torch.arange(num_classes)
    count = torch.bincount(place.flatten(), minlength=bins * num_classes).clamp_min(1)

    def mean_in_bin(values: Tensor) -> Tensor:
        sums = torch.bincount(place.flatten(), weights=values.flatten(), minlength=bins * num_classes)
        return (sums / count)[place]

    said, seen, rate = mean_in_bin(given), mean_in_bin(happened), happened.mean(0)
    reliability = float((said - seen).square().sum() / samples)
    resolution = float((seen - rate).square().sum() / samples)
    uncertainty = float((rate * (1 - rate)).sum())
    score = float((given - happened).square().sum() / samples)
    return BrierParts(reliability, resolution, uncertainty, score - (reliability - resolution + uncertainty))


def entropy(logits: Float[Tensor, "samples classes"]) -> float:
    """Return the mean entropy of the distributions in nats, in [0, log classes].

    Example:
        >>> round(entropy(torch.zeros(3, 4)), 4)
        1.3863
    """
    log_given = torch.log_softmax(logits.double(), 1)
    return float(-(log_given.exp() * log_given).sum(1).mean())


def sharpness(logits: Float[Tensor, "samples classes"]) -> float:
    """Return the mean of sum_c p_c^2, in [1 / classes, 1]: 1 for a network that is always certain.

    Example:
        >>> sharpness(torch.zeros(3, 4))
        0.25
    """
    return float(torch.softmax(logits.double(), 1).square().sum(1).mean())
