"""Fine-tuning for more conditional mutual information: tell more about a sample than its class does.

The mean of KL(p_i || centroid of i's class) estimates I(X; Y_hat | Y): how far predictions for one class lie apart. A
teacher in which it is larger tells its student more of the context that labels leave out. So the term is maximised: its
weight is negative, cross-entropy stands beside it, and training starts from a trained network (`start_from`).

Source: Ye, Mohajer Hamidi, Tan, Yang, "Bayes Conditional Distribution Estimation for Knowledge Distillation Based on
Conditional Mutual Information" (ICLR 2024, arXiv 2401.08732); weight, centroids and their renewal from the released code.
Differs from the authors' code: its renewal of centroids is there but disabled, as "none" here; "ema" renews them from the
batch at hand instead of eight samples per class. The pass that finds the centroids leaves batch-norm statistics as they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import kl, log_soften, promote
from preceptor.objectives.base import BuildContext, Objective, labels_of
from preceptor.objectives.hyperparameters import fraction, one_of
from preceptor.objectives.tensor_checks import check_classes
from preceptor.types import Step

__all__ = ["MCMI", "mcmi_loss"]

Refresh = Literal["none", "ema"]
_FLOOR = 1e-12


def mcmi_loss(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    centroids: Float[Tensor, "classes classes"],
) -> Float[Tensor, ""]:
    """Return (1/B) sum_i KL(softmax(z_i) || Q_y_i).

    Args:
        logits: of the network.
        labels: classes.
        centroids: Q, the mean prediction for each class, one distribution per row, at least 1e-12 in the logarithm;
            constant in the gradient.

    Returns:
        nats per sample, batch mean; at least 0, and 0 where every prediction is its class's centroid.

    Raises:
        ValueError: for labels that are no classes.

    Examples:
        >>> centroids = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
        >>> round(mcmi_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), centroids).item(), 6)
        0.143841
    """
    check_classes(labels, logits)
    log_probs = log_soften(logits)
    log_centroids = promote(centroids.detach()).clamp_min(_FLOOR).log()
    return kl(log_probs, log_centroids[labels].to(log_probs.dtype)).mean()


class MCMI(Objective):
    """Distance of the predictions to the starting network's mean prediction for their class; intended for a negative weight."""

    uses_teacher = False
    needs_labels = True
    needs_samples = True

    centroids: Tensor

    def __init__(self, refresh: Refresh = "none", decay: float = 0.9999) -> None:
        super().__init__()
        self.refresh: Refresh = one_of(refresh, get_args(Refresh), "refresh")
        self.decay = fraction(decay, "decay")
        self.compares_rows = refresh == "ema"  # the centroids are renewed from all rows of a batch
        self.register_buffer("centroids", torch.zeros(0, 0))

    def build(self, context: BuildContext) -> None:
        """Make room for the centroids, which are not known yet."""
        shape = (context.num_classes, context.num_classes)
        self.centroids = torch.full(shape, torch.nan, device=context.student.logits.device)

    @torch.no_grad()
    def calibrate(self, steps: Iterable[Step]) -> None:
        """Find the centroids: the mean prediction for each class; the uniform one for a class without samples."""
        sums = torch.zeros_like(self.centroids)
        for step in steps:
            sums += _sums(step.student.logits, labels_of(step), self.centroids)
        means = sums / sums.sum(1, keepdim=True).clamp_min(_FLOOR)
        self.centroids = functional.normalize(means.clamp_min(_FLOOR), p=1.0)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch]; in training, "ema" then renews the centroids.

        Raises:
            ValueError: before `build`, which is followed by `calibrate`.
        """
        if len(self.centroids) == 0:
            raise ValueError("mcmi has no centroids yet: call build(context) and calibrate(steps) first")
        loss = mcmi_loss(logits, labels, self.centroids)
        if self.refresh == "ema" and self.training and torch.is_grad_enabled():
            self._renew(logits, labels)
        return loss

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, labels_of(step))

    @torch.no_grad()
    def _renew(self, logits: Tensor, labels: Tensor) -> None:
        sums = _sums(logits, labels, self.centroids)
        rows = sums.sum(1, keepdim=True)
        renewed = self.centroids.lerp(sums / rows.clamp_min(_FLOOR), 1 - self.decay)
        self.centroids.copy_(torch.where(rows > 0, renewed, self.centroids))


def _sums(logits: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """Return the sum of the predictions for each class, in the shape and precision of the centroids."""
    members = functional.one_hot(labels, len(centroids)).to(centroids.dtype)
    with torch.autocast(logits.device.type, enabled=False):
        return members.T @ log_soften(logits.detach()).exp().to(centroids.dtype)
