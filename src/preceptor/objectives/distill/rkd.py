"""Relational KD: keep the teacher's distances and angles between the samples of a batch.

Source: Park, Kim, Lu, Cho, "Relational Knowledge Distillation" (CVPR 2019, arXiv 1904.05068), equations 4 to 9.
Differs from the authors' code: explicit differences, in chunks of anchors, so that no batch x batch x width tensor larger
than a chunk exists; samples that coincide have no direction and no gradient, where theirs has one of 1e12.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from preceptor.divergences import promote
from preceptor.objectives.base import FeatureShapes, Objective, Taps
from preceptor.objectives.features import pooled_features, pooled_taps
from preceptor.objectives.tensor_checks import check_embeddings
from preceptor.types import Step

__all__ = ["RKD", "rkd_loss"]

# floats of one chunk's difference vectors or cosines: large enough for memory allocators to give each back at once
_CHUNK_NUMBERS = 2**24
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

    Example:
        >>> corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(rkd_loss(3 * corner.flip(1), corner).item(), 9)
        0.0
    """
    check_embeddings(student_embedding, teacher_embedding)
    student, teacher = promote(student_embedding), promote(teacher_embedding.detach())
    with torch.autocast(student.device.type, enabled=False):
        student_distances, teacher_distances, angle = _relations(student, teacher)
        distance = functional.smooth_l1_loss(_over_mean(student_distances), _over_mean(teacher_distances))
        return distance_weight * distance + angle_weight * angle


def _relations(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return both [batch, batch] distances, and the mean over (anchor, j, k) of smooth-L1 between cosines."""
    batch = len(student)
    rows = max(1, _CHUNK_NUMBERS // (batch * max(student.shape[1], teacher.shape[1], batch)))
    chunks: list[tuple[Tensor, Tensor, Tensor]] = []
    for anchors in torch.split(torch.arange(batch, device=student.device), rows):
        if rows >= batch:
            chunks.append(_chunk(student, teacher, anchors))
        else:  # recomputed in the backward pass instead of kept
            chunks.append(checkpoint(_chunk, student, teacher, anchors, use_reentrant=False))
    student_rows, teacher_rows, angles = zip(*chunks, strict=True)
    return torch.cat(student_rows), torch.cat(teacher_rows), torch.stack(angles).sum() / batch**3


def _chunk(student: Tensor, teacher: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    student_distances, student_cosines = _look(student, anchors)
    teacher_distances, teacher_cosines = _look(teacher, anchors)
    angle = functional.smooth_l1_loss(student_cosines, teacher_cosines, reduction="sum")
    return student_distances, teacher_distances, angle


def _look(embedding: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return what anchors see: distances [anchors, batch] and cosines between directions [anchors, batch, batch]."""
    directions = embedding[None, :, :] - embedding[anchors, None, :]
    squared = directions.square().sum(2)
    is_apart = (squared > _COINCIDENT)[:, :, None]
    lengths = squared.clamp_min(_COINCIDENT).sqrt()
    unit = torch.where(is_apart, directions / lengths[:, :, None], 0.0)
    is_self = anchors[:, None] == torch.arange(len(embedding), device=anchors.device)
    return lengths.masked_fill(is_self, 0.0), unit @ unit.transpose(1, 2)


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
