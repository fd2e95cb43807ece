"""Probabilistic knowledge transfer: the same neighbours with the same probabilities, by cosine similarity.

Source: Passalis, Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer" (ECCV 2018, arXiv 1803.10837),
equations 4 to 7 with the cosine kernel; weight 30,000 as in the CRD benchmark (ICLR 2020), because the mean runs over all pairs.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import promote
from preceptor.objectives.base import FeatureShapes, Objective, Taps
from preceptor.objectives.features import pooled_features, pooled_taps
from preceptor.objectives.tensor_checks import check_embeddings
from preceptor.types import Step

__all__ = ["PKT", "pkt_loss"]

_FLOOR = 1e-7


def pkt_loss(
    student_embedding: Float[Tensor, "batch _"], teacher_embedding: Float[Tensor, "batch _"]
) -> Float[Tensor, ""]:
    """Return mean over pairs of q log(q / p), p and q the rows of (cosine + 1) / 2 scaled to sum 1.

    Args:
        student_embedding: pooled features.
        teacher_embedding: pooled features, another width allowed; constant in the gradient.

    Returns:
        nats, mean over all batch^2 pairs, each with itself included; 0 where all cosines are equal. Rounding may take it
        below 0 by 1e-9.

    Raises:
        ValueError: for batches of different size.

    Examples:
        >>> one = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> abs(pkt_loss(3 * one, one).item()) < 1e-7
        True
    """
    check_embeddings(student_embedding, teacher_embedding)
    student = _neighbours(promote(student_embedding))
    teacher = _neighbours(promote(teacher_embedding.detach()))
    return (teacher * torch.log((teacher + _FLOOR) / (student + _FLOOR))).mean()


def _neighbours(embedding: Tensor) -> Tensor:
    """Return each row's probabilities of picking each row."""
    with torch.autocast(embedding.device.type, enabled=False):
        # the norm's gradient at 0 is not a number, so a zero row is measured as if it had length 1
        squared = embedding.square().sum(1, keepdim=True)
        length = squared.masked_fill(squared == 0, 1.0).sqrt()
        unit = embedding / (length + _FLOOR)
        similarity = (unit @ unit.T + 1) / 2
    return similarity / similarity.sum(1, keepdim=True)


class PKT(Objective):
    """Divergence between the neighbourhoods of pooled features in a batch."""

    compares_rows = True
    multilabel = "as_is"

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        """Return the loss of embeddings [batch, dim]."""
        return pkt_loss(student_embedding, teacher_embedding)

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Tap the pooled features."""
        return pooled_taps(student, teacher, "pkt")

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(*pooled_features(step))
