"""The MSE teacher: squared distance of the softmax to the one-hot label, sum_c (p_c - y_c)^2.

A student's excess risk is bounded through E||p_T - p*||^2, and E||y - p||^2 = E||p* - p||^2 + constant: so the squared error
fits exactly the quantity in the bound.

Source: Hamidi, Deng, Tan, Ye, Salamah, "How to Train the Teacher Model for Effective Knowledge Distillation" (ECCV 2024,
arXiv 2407.18041); Brier (1950).
Differs from the authors' code: their public CIFAR script compares a method object with a string and so always trains with
cross-entropy; here the squared error is really applied, summed over classes ("sum"). "mse_mean" is their toy's element
mean, "logit_mse" what their script would do if its switch worked.
Known: with 100 classes and a short schedule it hardly leaves its plateau (the gradient is damped by p); the sum
`brier_warm` starts with cross-entropy and ends with Brier of weight 3, which takes over from half of the run on.
"""

from __future__ import annotations

from typing import Literal, get_args

from jaxtyping import Float, Int
from torch import Tensor

from preceptor.divergences import log_soften, promote, targets
from preceptor.objectives.base import Objective, targets_of
from preceptor.objectives.hyperparameters import one_of
from preceptor.objectives.tensor_checks import check_targets
from preceptor.types import Step

__all__ = ["Brier", "brier_loss"]

Variant = Literal["sum", "mse_mean", "logit_mse"]


def brier_loss(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"] | Float[Tensor, "batch classes"],
    *,
    variant: Variant = "sum",
) -> Float[Tensor, ""]:
    """Return (1/B) sum_i sum_c (softmax(z_i)_c - y_ic)^2, or a variant of it.

    Args:
        logits: of the network.
        labels: classes, or target distributions.
        variant: "sum" over classes; "mse_mean", the element mean (1/C of it, in its gradient too); "logit_mse", the
            element mean of (z - y)^2 without softmax, whose softmax is not calibrated.

    Returns:
        squared probability per sample (no nats), batch mean, in [0, 2] for "sum"; 0 only when p is the one-hot label.

    Raises:
        ValueError: for an unknown variant, or labels that are neither classes nor distributions over the classes.

    Examples:
        >>> import torch
        >>> brier_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1])).item()
        0.5
    """
    one_of(variant, get_args(Variant), "variant")
    check_targets(labels, logits)
    target = targets(labels, logits.shape[1])
    if variant == "logit_mse":
        return (promote(logits) - target).square().mean()
    squares = (log_soften(logits).exp() - target).square()
    return squares.mean() if variant == "mse_mean" else squares.sum(1).mean()


class Brier(Objective):
    """Squared error of the network's softmax with the batch's labels."""

    uses_teacher = False
    needs_labels = True
    multilabel = "one_vs_rest"

    def __init__(self, variant: Variant = "sum") -> None:
        super().__init__()
        self.variant: Variant = one_of(variant, get_args(Variant), "variant")

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch] or [batch, classes]."""
        return brier_loss(logits, labels, variant=self.variant)

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, targets_of(step))
