"""Semantic calibration: each of the student's maps learns from all of the teacher's, weighted by learned attention.

Source: Chen, Mei, Zhang, Wang, Feng, Chen, "Cross-Layer Distillation with Semantic Calibration" (AAAI 2021, arXiv 2012.03236),
equations 3 to 8. Attention compares rows of the batch's similarity matrices, so its networks are made for one batch size:
a batch of another size is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps, teacher_outputs
from preceptor.objectives.connectors import pool_to_smaller
from preceptor.objectives.features import blocks, maps_of
from preceptor.objectives.hyperparameters import positive
from preceptor.types import Step

__all__ = ["SemCKD", "semckd_loss"]


def semckd_loss(
    projected_maps: Sequence[Sequence[Float[Tensor, "batch _ _ _"]]],
    teacher_maps: Sequence[Float[Tensor, "batch _ _ _"]],
    attention: Float[Tensor, "batch students teachers"],
) -> Float[Tensor, ""]:
    """Return 1 / (batch students) sum_bij attention_bij MSE_bij; its attention depends on the order of the batch.

    Args:
        projected_maps: `[i][j]`, the student's map i projected to the channels of the teacher's map j.
        teacher_maps: `[j]`; the larger of the two is average-pooled; constant in the gradient.
        attention: weights that sum to 1 over the teacher's maps.

    Returns:
        mean squared differences, weighted; 0 where all projections are equal to the teacher's maps.

    Raises:
        ValueError: for projections of other channels than the teacher's maps, or attention of another shape.

    Examples:
        >>> maps = torch.ones(2, 3, 4, 4)
        >>> semckd_loss([[2 * maps, maps]], [maps, maps], torch.full((2, 1, 2), 0.5)).item()
        0.5
    """
    expected = (len(teacher_maps[0]), len(projected_maps), len(teacher_maps))
    if tuple(attention.shape) != expected:
        raise ValueError(f"attention: shape {tuple(attention.shape)}, expected {expected} (batch, students, teachers)")
    errors = []
    for row in projected_maps:
        for projected, teacher in zip(row, teacher_maps, strict=True):
            mine, its = pool_to_smaller(promote(projected), promote(teacher.detach()))
            if mine.shape != its.shape:
                raise ValueError(f"projected_maps: shape {tuple(mine.shape)} for a teacher's map {tuple(its.shape)}")
            errors.append((mine - its).square().mean((1, 2, 3)))
    return (promote(attention).flatten(1) * torch.stack(errors, dim=1)).sum() / (len(attention) * len(projected_maps))


def _projector(before: int, after: int) -> nn.Sequential:
    wide = 2 * after
    return nn.Sequential(
        *(nn.Conv2d(before, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()),
        *(nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()),
        nn.Conv2d(wide, after, 1, bias=False),
    )


def _embedder(batch_size: int) -> nn.Sequential:
    half, quarter = max(1, batch_size // 2), max(1, batch_size // 4)
    return nn.Sequential(nn.Linear(batch_size, half), nn.ReLU(), nn.Linear(half, quarter))


class SemCKD(Objective):
    """Distance of all pairs of blocks, weighted by attention between similarity matrices."""

    compares_rows = True
    multilabel = "as_is"

    def __init__(self, softness: float = 1.0) -> None:
        super().__init__()
        self.softness = positive(softness, "softness")
        self._names: Taps = Taps()
        self._batch_size = 0
        self.queries, self.keys, self.projectors = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the loss of lists of maps [batch, channels, height, width] of the batch size it was built for."""
        projected = []
        projectors = iter(self.projectors)
        for student in student_maps:
            smaller = [pool_to_smaller(student, teacher)[0] for teacher in teacher_maps]
            projected.append([next(projectors)(maps) for maps in smaller])
        return semckd_loss(projected, teacher_maps, self._attention(student_maps, teacher_maps))

    def _attention(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        with torch.autocast(student_maps[0].device.type, enabled=False):
            sides = [
                torch.stack(
                    [functional.normalize(embed(_similarity(m))) for embed, m in zip(embeds, maps, strict=True)]
                )
                for embeds, maps in ((self.queries, student_maps), (self.keys, [m.detach() for m in teacher_maps]))
            ]
            return torch.einsum("ibd,jbd->bij", *sides).div(self.softness).softmax(2)

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Tap all blocks of both."""
        for offered, who in ((student, "student"), (teacher, "teacher")):
            if not blocks(offered):
                raise UsageError(
                    f"method semckd needs feature maps, and the {who} offers {', '.join(offered) or 'none'}"
                )
        self._names = Taps(tuple(blocks(student)), tuple(blocks(teacher)))
        return self._names

    def build(self, context: BuildContext) -> None:
        """Make projectors for all pairs, and the embedders for this batch size."""
        mine = [maps.shape[1] for maps in maps_of(context.student, self._names.student, "student", "semckd")]
        its = [maps.shape[1] for maps in maps_of(context.teacher, self._names.teacher, "teacher", "semckd")]
        self._batch_size = context.batch_size
        self.queries = nn.ModuleList(_embedder(context.batch_size) for _ in mine)
        self.keys = nn.ModuleList(_embedder(context.batch_size) for _ in its)
        self.projectors = nn.ModuleList(_projector(before, after) for before in mine for after in its)
        self.to(context.student.logits.device)

    def notes(self) -> tuple[str, ...]:
        """Say which batches are skipped."""
        return (f"attention is made for batches of {self._batch_size}; others are skipped",)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher; 0 for a batch of another size."""
        students = maps_of(step.student, self._names.student, "student", "semckd")
        teachers = maps_of(teacher_outputs(step), self._names.teacher, "teacher", "semckd")
        if len(step.student.logits) != self._batch_size:
            return promote(students[0][:0]).sum()  # 0, with a gradient of 0
        return self(students, teachers)


def _similarity(maps: Tensor) -> Tensor:
    flat = promote(maps).flatten(1)
    return flat @ flat.T
