"""How far a network's output is from the true label distribution, where that is known; in float64.

Source: the quantities of Menon et al. (ICML 2021) and Hamidi et al. (ECCV 2024): a student's risk is bounded through the mean
squared distance of the teacher's output to the true label distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.assessment.calibration import binned
from preceptor.assessment.devices import on_cpu
from preceptor.divergences import kl

__all__ = ["TruthMetrics", "distance_to_truth"]


@dataclass(frozen=True, slots=True)
class TruthMetrics:
    """Distances between network outputs q and true label distributions p*, means over samples.

    Attributes:
        mse: sum over classes of (q - p*)^2.
        mse_per_entry: the same, mean over classes.
        l2: Frobenius norm of q - p* over all samples and classes (grows with their number).
        cross_entropy: H(p*, q) in nats.
        cross_entropy_floored: the same with log q no lower than -10, as some published axes have it.
        kl: KL(p* || q) in nats.
        reverse_kl: KL(q || p*) in nats; None where some p* is 0: it is infinite there.
        total_variation: half the sum of |q - p*|, in [0, 1].
        expected_accuracy: mean of p* at the network's choice.
        bayes_accuracy: mean of the largest p*, the best that expected accuracy can be.
        irreducible_brier: mean of 1 - sum p*^2: what `mse` leaves out of the expected Brier score.
        calibration_error: ECE with p* at the network's choice in place of right or wrong, 15 equal-width bins.
    """

    mse: float
    mse_per_entry: float
    l2: float
    cross_entropy: float
    cross_entropy_floored: float
    kl: float
    reverse_kl: float | None
    total_variation: float
    expected_accuracy: float
    bayes_accuracy: float
    irreducible_brier: float
    calibration_error: float


@on_cpu
def distance_to_truth(
    logits: Float[Tensor, "samples classes"], truth: Float[Tensor, "samples classes"]
) -> TruthMetrics:
    """Return all distances of softmax(logits) to the truth.

    Args:
        logits: of the network.
        truth: true label distributions, rows summing to 1.

    Raises:
        ValueError: for a row of the truth that does not sum to 1 within 1e-4, or has a negative entry.

    Examples:
        >>> metrics = distance_to_truth(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        >>> metrics.mse, metrics.total_variation, metrics.expected_accuracy
        (0.5, 0.5, 1.0)
    """
    target = truth.double()
    if bool((target < 0).any()) or float((target.sum(1) - 1).abs().max()) > 1e-4:
        raise ValueError("truth: its rows must be probabilities that sum to 1")
    log_probs = torch.log_softmax(logits.double(), 1)
    difference = log_probs.exp() - target
    log_target = target.clamp_min(torch.finfo(torch.float64).tiny).log()
    confidence, choice = log_probs.exp().max(1)
    at_choice = target.gather(1, choice[:, None])[:, 0]
    count, (mean, share) = binned(confidence, (confidence, at_choice), 15, "width")
    return TruthMetrics(
        mse=float(difference.square().sum(1).mean()),
        mse_per_entry=float(difference.square().mean()),
        l2=float(difference.norm()),
        cross_entropy=float(-(target * log_probs).sum(1).mean()),
        cross_entropy_floored=float(-(target * log_probs.clamp_min(-10.0)).sum(1).mean()),
        kl=float(kl(log_target, log_probs).mean()),
        reverse_kl=float(kl(log_probs, log_target).mean()) if bool((target > 0).all()) else None,
        total_variation=float(difference.abs().sum(1).mean() / 2),
        expected_accuracy=float(at_choice.mean()),
        bayes_accuracy=float(target.max(1).values.mean()),
        irreducible_brier=float((1 - target.square().sum(1)).mean()),
        calibration_error=float((count * (share - mean).abs()).sum() / len(target)),
    )
