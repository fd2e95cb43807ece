"""Attention transfer: look where the teacher looks.

Source: Zagoruyko, Komodakis, "Paying More Attention to Attention" (ICLR 2017, arXiv 1612.03928), equation 2, in the form of
the CRD benchmark (Tian, Krishnan, Isola, ICLR 2020): squared distances, mean over positions, weight 1000.
Differs from that code: maps that are not square are pooled by height and width apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.base import Objective, Setting, Taps, positive, teacher_outputs
from preceptor.objectives.features import block_pairs, blocks, maps_of
from preceptor.types import Step

__all__ = ["AT", "at_loss"]


def at_loss(
    student_maps: Sequence[Float[Tensor, "batch _ _ _"]],
    teacher_maps: Sequence[Float[Tensor, "batch _ _ _"]],
    *,
    power: float = 2.0,
) -> Float[Tensor, ""]:
    """Return sum over levels of mean (a_S - a_T)^2, a = the L2-normalised mean over channels of |map|^power.

    Args:
        student_maps: one a level, [batch, channels, height, width].
        teacher_maps: as many, other channels and sizes allowed: the larger side is average-pooled; constant in the gradient.
        power: above 0.

    Returns:
        a squared distance, mean over batch and positions; 0 where attention is equal, whatever the scale.

    Raises:
        ValueError: for lists of different or no length, or a power that is not above 0.

    Example:
        >>> import torch
        >>> one = torch.tensor([[[[1.0, 0.0]]]])
        >>> at_loss([one], [one.flip(-1)]).item()
        1.0
    """
    if len(student_maps) != len(teacher_maps) or not student_maps:
        raise ValueError(f"student_maps and teacher_maps: {len(student_maps)} and {len(teacher_maps)} levels")
    power = positive(power, "power")
    total = student_maps[0].new_zeros((), dtype=promote(student_maps[0]).dtype)
    for student, teacher in zip(student_maps, teacher_maps, strict=True):
        size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
        total = total + (_attention(student, size, power) - _attention(teacher.detach(), size, power)).square().mean()
    return total


def _attention(maps: Tensor, size: tuple[int, int], power: float) -> Tensor:
    pooled = functional.adaptive_avg_pool2d(promote(maps), size)
    return functional.normalize(pooled.abs().pow(power).mean(1).flatten(1), eps=1e-12)


class AT(Objective):
    """Distance between the attention maps of paired blocks."""

    def __init__(self, power: float = 2.0, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.power = positive(power, "power")
        self.pairs = pairs
        self._chosen: tuple[tuple[str, str], ...] = ()
        self._left_out: tuple[str, ...] = ()

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the loss of lists of maps [batch, channels, height, width]."""
        return at_loss(student_maps, teacher_maps, power=self.power)

    def taps(self, student: Sequence[str], teacher: Sequence[str]) -> Taps:
        """Pair the blocks from the front, or as the user says."""
        self._chosen = block_pairs(student, teacher, self.pairs, "at")
        students, teachers = tuple(s for s, _ in self._chosen), tuple(t for _, t in self._chosen)
        self._left_out = (
            *(f"student's {name}" for name in blocks(student) if name not in students),
            *(f"teacher's {name}" for name in blocks(teacher) if name not in teachers),
        )
        return Taps(students, teachers)

    def build(self, setting: Setting) -> None:
        """Check that what was chosen are maps."""
        maps_of(setting.student, [name for name, _ in self._chosen], "student", "at")
        maps_of(setting.teacher, [name for _, name in self._chosen], "teacher", "at")

    def notes(self) -> tuple[str, ...]:
        """Name the pairs, and the blocks that have no partner."""
        left_out = f"; left out: {', '.join(self._left_out)}" if self._left_out else ""
        return (f"pairs {', '.join(f'{s} -> {t}' for s, t in self._chosen)} (student -> teacher){left_out}",)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        teacher = teacher_outputs(step).features
        students = [step.student.features[name] for name, _ in self._chosen]
        return self(students, [teacher[name] for _, name in self._chosen])  # type: ignore[no-any-return]
