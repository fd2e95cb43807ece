"""Relational KD: keep the teacher's distances and angles between the samples of a batch.

Source: Park, Kim, Lu, Cho, "Relational Knowledge Distillation" (CVPR 2019, arXiv 1904.05068), equations 4 to 9.
Differs from the authors' code: nothing in value; angles are computed anchor by anchor in chunks, so that no
batch x batch x width tensor larger than a chunk exists. Depends on the batch, so it is not the same over more processes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from preceptor.divergences import promote
from preceptor.objectives.base import Objective, Taps, teacher_outputs
from preceptor.objectives.features import need
from preceptor.types import Step

__all__ = ["RKD", "rkd_loss"]

_CHUNK_NUMBERS = 2**24  # floats of one chunk's difference vectors
_TINY = 1e-12


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

    Example:
        >>> corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> rkd_loss(3 * corner.flip(1), corner).item()
        0.0
    """
    student, teacher = promote(student_embedding), promote(teacher_embedding.detach())
    with torch.autocast(student.device.type, enabled=False):
        distance = functional.smooth_l1_loss(_distances(student), _distances(teacher))
        return distance_weight * distance + angle_weight * _angle_loss(student, teacher)


def _distances(embedding: Tensor) -> Tensor:
    """Return pairwise distances over the mean of those above 0, [batch, batch]."""
    embedding = embedding - embedding.mean(0)  # less cancellation; distances do not change
    squares = embedding.square().sum(1)
    products = embedding @ embedding.T
    squared = (squares[:, None] + squares[None, :] - 2 * products).clamp_min(_TINY)
    off_diagonal = 1 - torch.eye(len(embedding), dtype=embedding.dtype, device=embedding.device)
    distances = squared.sqrt() * off_diagonal
    positive = distances > 0
    return distances / (distances.sum() / positive.sum().clamp_min(1)).clamp_min(_TINY)


def _angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over all (anchor, j, k) of smooth-L1 between cosines; a triple with coincident points counts 0."""
    batch = len(student)
    rows = max(1, _CHUNK_NUMBERS // max(1, batch * max(student.shape[1], teacher.shape[1], batch)))
    sums = []
    for anchors in torch.split(torch.arange(batch, device=student.device), rows):
        if rows >= batch:
            sums.append(_chunk(student, teacher, anchors))
        else:  # recomputed in the backward pass instead of kept
            sums.append(checkpoint(_chunk, student, teacher, anchors, use_reentrant=False))
    return torch.stack(sums).sum() / batch**3


def _chunk(student: Tensor, teacher: Tensor, anchors: Tensor) -> Tensor:
    return functional.smooth_l1_loss(_cosines(student, anchors), _cosines(teacher, anchors), reduction="sum")


def _cosines(embedding: Tensor, anchors: Tensor) -> Tensor:
    directions = embedding[None, :, :] - embedding[anchors, None, :]
    lengths = directions.square().sum(2, keepdim=True).clamp_min(_TINY**2).sqrt()
    unit = directions / lengths.clamp_min(_TINY)
    return unit @ unit.transpose(1, 2)


class RKD(Objective):
    """Distances and angles between the pooled features of a batch."""

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

    def taps(self, student: Sequence[str], teacher: Sequence[str]) -> Taps:
        """Ask for the pooled features."""
        return Taps((need("pooled", student, "student", "rkd"),), (need("pooled", teacher, "teacher", "rkd"),))

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        pooled = teacher_outputs(step).features["pooled"]
        return self(step.student.features["pooled"], pooled)  # type: ignore[no-any-return]
