"""Redundancy suppression: of pooled features that correlate with the teacher's, one by one, and with nothing else of it.

Source: Zhang, Liu, Ran, Ma, "Cross-Architecture Distillation Made Simple with Redundancy Suppression" (ICCV 2025, arXiv
2507.21844), for networks of different families. The projector is dropped after training.
Differs from the authors' code: with several processes, correlations are those of all their rows.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.divergences import promote
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps
from preceptor.objectives.features import pooled_features, pooled_taps, pooled_widths
from preceptor.objectives.hyperparameters import at_least
from preceptor.objectives.tensor_checks import check_embeddings, check_shapes
from preceptor.types import Step

__all__ = ["RSD", "rsd_loss"]

_FLOOR = 1e-5  # added to deviations


def rsd_loss(
    student_embedding: Float[Tensor, "batch dim"],
    teacher_embedding: Float[Tensor, "batch dim"],
    *,
    decorrelation: float = 0.01,
) -> Float[Tensor, ""]:
    """Return sum_d (P_dd - 1)^2 + decorrelation sum_(d != e) P_de^2, P the correlations over the batch, not 0 at equality.

    Args:
        student_embedding: pooled features after the projector.
        teacher_embedding: pooled features; constant in the gradient.
        decorrelation: of the student's features with the teacher's others.

    Returns:
        a sum over the features, which grows with their number; that number for a batch of one, which has no correlations.

    Raises:
        ValueError: for embeddings of different shapes.

    Examples:
        >>> rows = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> round(rsd_loss(rows, rows).item(), 4)
        0.0
    """
    check_embeddings(student_embedding, teacher_embedding)
    check_shapes(
        student_embedding, teacher_embedding, "student_embedding and teacher_embedding", " (after the projector)"
    )
    mine, its = _standardised(student_embedding), _standardised(teacher_embedding.detach())
    with torch.autocast(mine.device.type, enabled=False):
        correlations = its.T @ mine / max(len(mine), 1)
    diagonal = correlations.diagonal()
    others = correlations.square().sum() - diagonal.square().sum()
    return (diagonal - 1).square().sum() + decorrelation * others


def _standardised(embedding: Tensor) -> Tensor:
    centred = promote(embedding)
    if len(centred) == 0:
        return centred
    centred = centred - centred.mean(0)
    variance = centred.square().mean(0)
    return centred / (variance.clamp_min(_FLOOR**4).sqrt() + _FLOOR)  # the root has no gradient at 0


class RSD(Objective):
    """Correlations of the student's projected pooled features with the teacher's."""

    compares_rows = True
    multilabel = "as_is"

    def __init__(self, decorrelation: float = 0.01, expansion: int = 2) -> None:
        super().__init__()
        self.decorrelation = decorrelation
        self.expansion = at_least(expansion, 1, "expansion")
        self.projector: nn.Module = nn.Identity()
        self._has_warned = False

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        """Return the loss of embeddings [batch, dim]; after `build`."""
        if self.training and len(student_embedding) < 2:
            if not self._has_warned:
                self._has_warned = True
                warnings.warn("rsd skips a batch of one: there are no correlations in it", stacklevel=2)
            return promote(student_embedding[:0]).sum()  # 0, with a gradient of 0
        projected = promote(self.projector(student_embedding))
        return rsd_loss(projected, promote(teacher_embedding), decorrelation=self.decorrelation)

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Tap the pooled features."""
        return pooled_taps(student, teacher, "rsd")

    def build(self, context: BuildContext) -> None:
        """Make the projector."""
        mine, its = pooled_widths(context)
        wide = self.expansion * mine
        layers = nn.Sequential(
            nn.Linear(mine, wide, bias=False), nn.BatchNorm1d(wide), nn.GELU(), nn.Linear(wide, its, bias=False)
        )
        self.projector = layers.to(context.student.logits.device)

    def notes(self) -> tuple[str, ...]:
        """Say how large the projector is."""
        return (
            f"a projector of {sum(each.numel() for each in self.projector.parameters()):,} parameters, dropped at the end",
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(*pooled_features(step))
