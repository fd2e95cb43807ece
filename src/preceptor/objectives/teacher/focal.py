"""Focal loss: cross-entropy that leaves alone what is right already, and so makes a teacher that is less over-confident.

Source: Lin, Goyal, Girshick, He, Dollar, "Focal Loss for Dense Object Detection" (ICCV 2017), equation 4; for calibration, and
`adaptive` (their FLSD-53), Mukhoti, Kulharia, Sanyal, Golodetz, Torr, Dokania (NeurIPS 2020, arXiv 2002.09437).
Differs from the authors' code: the mean over samples, where theirs sums unless asked; 1 - p_y is the sum over the other
classes, in log space, where theirs is a difference that is 0 once p_y is near 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from preceptor.divergences import log_soften, other_classes
from preceptor.objectives.base import Objective, labels_of
from preceptor.objectives.hyperparameters import at_least
from preceptor.objectives.tensor_checks import check_classes
from preceptor.types import Step

__all__ = ["Focal", "focal_loss"]

_UNSURE, _HALF_SURE = 0.2, 0.5  # probabilities of the label, and the exponents below them
_GAMMA_UNSURE, _GAMMA_HALF_SURE = 5.0, 3.0


def focal_loss(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    *,
    gamma: float = 3.0,
    adaptive: bool = False,
) -> Float[Tensor, ""]:
    """Return -(1/B) sum_i (1 - p_y)^gamma log p_y, with p = softmax(z).

    Args:
        logits: of the network.
        labels: classes.
        gamma: at least 0; 0 is cross-entropy.
        adaptive: whether gamma is 5 where p_y < 0.2, and 3 where p_y < 0.5.

    Returns:
        nats per sample, batch mean; 0 in the limit of a confident right answer.

    Raises:
        ValueError: for a gamma below 0, or labels that are no classes.

    Examples:
        >>> round(focal_loss(torch.zeros(1, 2), torch.tensor([1]), gamma=1.0).item(), 6)  # log(2) / 2
        0.346574
    """
    gamma = at_least(gamma, 0, "gamma")
    check_classes(labels, logits)
    log_probs = log_soften(logits)
    log_right = log_probs.gather(1, labels[:, None]).squeeze(1)
    log_wrong = torch.logsumexp(other_classes(log_probs, labels), 1)
    exponent = torch.full_like(log_right, gamma)
    if adaptive:
        right = log_right.detach().exp()
        exponent = torch.where(right < _HALF_SURE, _GAMMA_HALF_SURE, exponent)
        exponent = torch.where(right < _UNSURE, _GAMMA_UNSURE, exponent)
    return -((exponent * log_wrong).exp() * log_right).mean()


class Focal(Objective):
    """Focal loss of the network's logits with the batch's labels."""

    uses_teacher = False
    needs_labels = True
    multilabel = "one_vs_rest"

    def __init__(self, gamma: float = 3.0, adaptive: bool = False) -> None:
        super().__init__()
        self.gamma = at_least(gamma, 0, "gamma")
        self.adaptive = adaptive

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch]."""
        return focal_loss(logits, labels, gamma=self.gamma, adaptive=self.adaptive)

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, labels_of(step))
