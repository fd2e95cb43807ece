"""Accuracy, proper scores and confidence: logits against labels, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from preceptor.assessment.devices import on_cpu

__all__ = [
    "BrierDecomposition",
    "accuracy",
    "brier_decomposition",
    "brier_score",
    "entropy",
    "macro_accuracy",
    "nll",
    "sharpness",
]


@on_cpu
def accuracy(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"], *, top: int = 1) -> float:
    """Return the share of samples whose label is among the `top` largest logits.

    Examples:
        >>> accuracy(torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, 2.0]]), torch.tensor([0, 1]))
        0.5
    """
    best = logits.topk(top, dim=1).indices
    return float((best == labels[:, None]).any(1).double().mean())


@on_cpu
def macro_accuracy(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    """Return the accuracy of each class that occurs, averaged over these classes.

    Examples:
        >>> macro_accuracy(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0, 1]))
        0.5
    """
    right = (logits.argmax(1) == labels).double()
    count = torch.bincount(labels, minlength=logits.shape[1])
    return float(
        (torch.bincount(labels, weights=right, minlength=logits.shape[1])[count > 0] / count[count > 0]).mean()
    )


@on_cpu
def nll(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    """Return the mean negative log-likelihood of the labels in nats."""
    return float(-torch.log_softmax(logits.double(), 1).gather(1, labels[:, None]).mean())


@on_cpu
def brier_score(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    """Return the mean squared distance of softmax to one-hot, summed over classes, in [0, 2]."""
    probability = torch.softmax(logits.double(), 1)
    target = torch.nn.functional.one_hot(labels, logits.shape[1])
    return float((probability - target).square().sum(1).mean())


@dataclass(frozen=True, slots=True)
class BrierDecomposition:
    """Murphy's decomposition of the Brier score: reliability - resolution + uncertainty + remainder = score.

    Attributes:
        reliability: squared distance of predicted to observed frequencies, bin by bin; 0 is perfect calibration.
        resolution: how far the bins' outcomes are from the classes' base rates; more is better.
        uncertainty: of the labels themselves.
        remainder: due to the spread of probabilities within bins; 0 if each bin holds one value.
    """

    reliability: float
    resolution: float
    uncertainty: float
    remainder: float


@on_cpu
def brier_decomposition(
    logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"], *, bins: int = 15
) -> BrierDecomposition:
    """Return the decomposition of the Brier score over equal-width bins of each class's probability, summed over classes.

    Source: Murphy, "A new vector partition of the probability score" (1973); the within-bin remainder: Stephenson, Coelho,
    Jolliffe, "Two extra components in the Brier score decomposition" (2008).

    Args:
        logits: of the network.
        labels: classes.
        bins: per class.

    Examples:
        >>> terms = brier_decomposition(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]))
        >>> terms.reliability, terms.resolution, terms.uncertainty, terms.remainder
        (0.0, 0.0, 0.5, 0.0)
    """
    probability = torch.softmax(logits.double(), 1)
    outcome = torch.nn.functional.one_hot(labels, logits.shape[1]).double()
    samples, num_classes = probability.shape
    place = (torch.ceil(probability * bins) - 1).clamp(0, bins - 1).long() + bins * torch.arange(num_classes)
    count = torch.bincount(place.flatten(), minlength=bins * num_classes).clamp_min(1)

    def mean_in_bin(values: Tensor) -> Tensor:
        sums = torch.bincount(place.flatten(), weights=values.flatten(), minlength=bins * num_classes)
        return (sums / count)[place]

    predicted, observed, rate = mean_in_bin(probability), mean_in_bin(outcome), outcome.mean(0)
    reliability = float((predicted - observed).square().sum() / samples)
    resolution = float((observed - rate).square().sum() / samples)
    uncertainty = float((rate * (1 - rate)).sum())
    score = float((probability - outcome).square().sum() / samples)
    return BrierDecomposition(reliability, resolution, uncertainty, score - (reliability - resolution + uncertainty))


@on_cpu
def entropy(logits: Float[Tensor, "samples classes"]) -> float:
    """Return the mean entropy of the distributions in nats, in [0, log classes].

    Examples:
        >>> round(entropy(torch.zeros(3, 4)), 4)
        1.3863
    """
    log_probs = torch.log_softmax(logits.double(), 1)
    return float(-(log_probs.exp() * log_probs).sum(1).mean())


@on_cpu
def sharpness(logits: Float[Tensor, "samples classes"]) -> float:
    """Return the mean of sum_c p_c^2, in [1 / classes, 1]: 1 for a network that is always certain.

    Examples:
        >>> sharpness(torch.zeros(3, 4))
        0.25
    """
    return float(torch.softmax(logits.double(), 1).square().sum(1).mean())
