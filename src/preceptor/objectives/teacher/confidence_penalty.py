"""Cross-entropy less a share of the entropy of the predictions: a teacher that is sure of everything pays for it.

Source: Pereyra, Tucker, Chorowski, Kaiser, Hinton, "Regularizing Neural Networks by Penalizing Confident Output Distributions"
(ICLR workshop 2017, arXiv 1701.06548), equation 2. It is label smoothing with the KL divergence the other way round, up to a
constant. The paper's threshold and annealing of the penalty are left out.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import log_soften, promote
from preceptor.objectives.base import Objective, targets_of
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.tensor_checks import check_targets
from preceptor.types import Step

__all__ = ["ConfidencePenalty", "confidence_penalty_loss"]


def confidence_penalty_loss(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"] | Float[Tensor, "batch classes"],
    *,
    weight: float = 0.1,
) -> Float[Tensor, ""]:
    """Return CE - weight (1/B) sum_i H(p_i), with p = softmax(z).

    Args:
        logits: of the network.
        labels: classes, or target distributions.
        weight: of the entropy, above 0.

    Returns:
        nats per sample, batch mean; at least -weight log C, and smallest, not 0, at a distribution between label and uniform.

    Raises:
        ValueError: for a weight that is not above 0, or labels that are neither classes nor distributions over the classes.

    Examples:
        >>> import torch
        >>> round(confidence_penalty_loss(torch.zeros(1, 2), torch.tensor([1]), weight=0.5).item(), 6)  # log(2) / 2
        0.346574
    """
    weight = positive(weight, "weight")
    check_targets(labels, logits)
    log_probs = log_soften(logits)
    entropy = -(log_probs.exp() * log_probs).sum(1).mean()
    return functional.cross_entropy(promote(logits), labels) - weight * entropy


class ConfidencePenalty(Objective):
    """Cross-entropy with the batch's labels less `penalty` times the entropy of the predictions."""

    uses_teacher = False
    needs_labels = True
    multilabel = "one_vs_rest"

    def __init__(self, penalty: float = 0.1) -> None:
        super().__init__()
        self.penalty = positive(penalty, "penalty")

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch] or [batch, classes]."""
        return confidence_penalty_loss(logits, labels, weight=self.penalty)

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, targets_of(step))
