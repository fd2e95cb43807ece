"""Cross-entropy with the labels: -log p_y, the usual way to train a teacher.

Source: in population it is minimised by the true label distribution, E[CE] = E[H(p*, p)].
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.base import Objective, targets_of
from preceptor.types import Step

__all__ = ["CrossEntropy", "cross_entropy_loss"]


def cross_entropy_loss(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"] | Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """Return -(1/B) sum_i log softmax(z_i)[y_i].

    Args:
        logits: of the network.
        labels: classes, or target distributions.

    Returns:
        nats a sample, batch mean; 0 in the limit of a confident right answer.

    Example:
        >>> import torch
        >>> round(cross_entropy_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1])).item(), 6)
        0.693147
    """
    return functional.cross_entropy(promote(logits), labels)


class CrossEntropy(Objective):
    """Cross-entropy of the network's logits with the batch's labels."""

    uses_teacher = False
    needs_labels = True

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch] or [batch, classes]."""
        return cross_entropy_loss(logits, labels)

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, targets_of(step))  # type: ignore[no-any-return]
