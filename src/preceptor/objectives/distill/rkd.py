"""Relational KD: keep the teacher's distances and angles between the samples of a batch.

Source: Park, Kim, Lu, Cho, "Relational Knowledge Distillation" (CVPR 2019, arXiv 1904.05068), equations 4 to 9.
Differs from the authors' code: explicit differences, in chunks of anchors whose gradient is computed with their value, so that
no cosine is kept and no tensor is larger than a chunk; samples that coincide have no direction and no gradient, where theirs
has one of 1e12.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.base import FeatureShapes, Objective, Taps
from preceptor.objectives.features import pooled_features, pooled_taps
from preceptor.objectives.tensor_checks import check_embeddings
from preceptor.types import Step

__all__ = ["RKD", "rkd_loss"]

_CHUNK_NUMBERS = 2**22  # floats of the largest tensor of a chunk: its difference vectors or its cosines
_COINCIDENT = 1e-12  # squared distance below which two samples are one


def rkd_loss(
    student_embedding: Float[Tensor, "batch student_dim"],
    teacher_embedding: Float[Tensor, "batch teacher_dim"],
    *,
    distance_weight: float = 25.0,
    angle_weight: float = 50.0,
) -> Float[Tensor, ""]:
    """Return distance_weight * smooth-L1 of mean-normalised distances + angle_weight * smooth-L1 of cosines of angles.

    Args:
        student_embedding: of the student.
        teacher_embedding: of the teacher, another width allowed; constant in the gradient.
        distance_weight: of the distances, mean over batch^2 pairs.
        angle_weight: of the angles at every sample between every two others, mean over batch^3 triples.

    Returns:
        no unit; 0 where the embeddings are equal up to rotation, translation and scale, and for a batch of one.

    Raises:
        ValueError: for batches of different size.

    Examples:
        >>> corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(rkd_loss(3 * corner.flip(1), corner).item(), 9)
        0.0
    """
    check_embeddings(student_embedding, teacher_embedding)
    student, teacher = promote(student_embedding), promote(teacher_embedding.detach())
    with torch.autocast(student.device.type, enabled=False):
        relations: tuple[Tensor, Tensor, Tensor] = _Relations.apply(student, teacher)  # type: ignore[no-untyped-call]
        student_distances, teacher_distances, angle = relations
        distance = functional.smooth_l1_loss(_over_mean(student_distances), _over_mean(teacher_distances))
        loss: Tensor = distance_weight * distance + angle_weight * angle
        return loss


class _Relations(torch.autograd.Function):
    """Both [batch, batch] distances, and the mean over (anchor, j, k) of smooth-L1 between cosines."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch = len(student)
        rows = max(1, _CHUNK_NUMBERS // (batch * max(student.shape[1], teacher.shape[1], batch)))
        # what is kept is made first: small tensors between a chunk's large ones would hold their memory
        distances, inverses, teacher_distances = (student.new_empty(batch, batch) for _ in range(3))
        gradient, angle = torch.zeros_like(student), student.new_zeros(())
        for start in range(0, batch, rows):
            anchors = slice(start, start + rows)
            distances[anchors], inverses[anchors], unit = _look(student, anchors)
            teacher_distances[anchors], _, teacher_unit = _look(teacher, anchors)
            cosines, teacher_cosines = unit @ unit.mT, teacher_unit @ teacher_unit.mT
            angle += functional.smooth_l1_loss(cosines, teacher_cosines, reduction="sum")
            of_unit = cosines.sub_(teacher_cosines).clamp_(-1, 1) @ unit
            along = (of_unit * unit).sum(2, keepdim=True)
            of_directions = of_unit.addcmul_(unit, along, value=-1).mul_(inverses[anchors, :, None])
            gradient += of_directions.sum(0)
            gradient[anchors] -= of_directions.sum(1)
        gradient *= 2 / batch**3  # a pair (j, k) counts as (k, j) too
        ctx.save_for_backward(student, inverses, gradient)
        ctx.mark_non_differentiable(teacher_distances)
        return distances.fill_diagonal_(0.0), teacher_distances.fill_diagonal_(0.0), angle / batch**3

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, of_distances: Tensor, _: Tensor, of_angle: Tensor) -> tuple[Tensor, None]:
        student, inverses, angle_gradient = ctx.saved_tensors
        pull = of_distances * inverses
        pull = pull + pull.mT
        centred = student - student.mean(0)
        return of_angle * angle_gradient + pull.sum(1, keepdim=True) * centred - pull @ centred, None


def _look(embedding: Tensor, anchors: slice) -> tuple[Tensor, Tensor, Tensor]:
    """Return what anchors see: distances [anchors, batch], their inverses (0 where samples coincide) and directions."""
    directions = embedding[None, :, :] - embedding[anchors, None, :]
    squared = directions.square().sum(2)
    distances = squared.clamp_min(_COINCIDENT).sqrt()
    inverses = torch.where(squared > _COINCIDENT, 1 / distances, 0.0)
    return distances, inverses, directions.mul_(inverses[:, :, None])


def _over_mean(distances: Tensor) -> Tensor:
    """Return distances over the mean of those above 0."""
    num_positive = (distances > 0).sum().clamp_min(1)
    return distances / (distances.sum() / num_positive).clamp_min(_COINCIDENT)


class RKD(Objective):
    """Distances and angles between the pooled features of a batch."""

    compares_rows = True
    multilabel = "as_is"

    def __init__(self, distance_weight: float = 25.0, angle_weight: float = 50.0) -> None:
        super().__init__()
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight
        self._has_warned = False

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        """Return the loss of embeddings [batch, dim]."""
        if len(student_embedding) == 1 and not self._has_warned:
            self._has_warned = True
            warnings.warn("rkd of a batch of one is 0: there are no relations in it", stacklevel=2)
        return rkd_loss(
            student_embedding,
            teacher_embedding,
            distance_weight=self.distance_weight,
            angle_weight=self.angle_weight,
        )

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Tap the pooled features."""
        return pooled_taps(student, teacher, "rkd")

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(*pooled_features(step))
