"""Temperature scaling after training (Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017).

By ECE as Kim, Park, Lee, Kwak, "The Role of Teacher Calibration in Knowledge Distillation" (IEEE Access 2025, arXiv 2508.20224),
over the grid of Mukhoti et al. (NeurIPS 2020). ECE is no smooth function of the temperature: use at least 1,000 samples.
"""

from __future__ import annotations

import math
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from preceptor.assessment.calibration import expected_calibration_error
from preceptor.assessment.devices import on_cpu

__all__ = ["fit_temperature", "grid_temperature"]

_LOG_RANGE = (math.log(1e-3), math.log(1e3))


@on_cpu
def fit_temperature(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    """Return the temperature t > 0 that minimises the NLL of softmax(logits / t); accuracy is not touched by it.

    It is found between 1e-3 and 1e3 by golden-section search over log t, where the NLL has one minimum (it is convex in
    1 / t). It never makes the NLL of these samples worse than t = 1 does.

    Args:
        logits: of a network on held-out samples.
        labels: classes.

    Raises:
        ValueError: for no samples.

    Examples:
        >>> import torch
        >>> round(fit_temperature(torch.tensor([[4.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1])), 3)
        3.641
    """
    if len(logits) == 0:
        raise ValueError("logits: no samples to fit a temperature to")
    exact = logits.double()

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(exact / math.exp(log_temperature), labels))

    low, high = _LOG_RANGE
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-7:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    best = (low + high) / 2
    return math.exp(best) if loss(best) <= loss(0.0) else 1.0


@on_cpu
def grid_temperature(
    logits: Float[Tensor, "samples classes"],
    labels: Int[Tensor, " samples"],
    *,
    by: Literal["ece", "nll"] = "ece",
    bins: int = 15,
) -> float:
    """Return the first temperature among 0.1, 0.2, ..., 10 with the smallest calibration error, or NLL, of these samples.

    Args:
        logits: of a network on held-out samples: of its own training samples it gets nearly all right, however sure it is.
        labels: classes.
        by: "ece", in bins of equal width, or "nll".
        bins: how many.

    Raises:
        ValueError: for no samples.

    Examples:
        >>> import torch
        >>> grid_temperature(torch.tensor([[4.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1]))
        3.6
    """
    if len(logits) == 0:
        raise ValueError("logits: no samples to fit a temperature to")
    exact = logits.double()

    def loss(temperature: float) -> float:
        if by == "ece":
            return expected_calibration_error(exact / temperature, labels, bins=bins)
        return float(functional.cross_entropy(exact / temperature, labels))

    return min((number / 10 for number in range(1, 101)), key=loss)
