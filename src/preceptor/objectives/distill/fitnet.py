"""Hints: a regressor from one of the student's maps should give one of the teacher's.

Source: Romero, Ballas, Kahou, Chassang, Gatta, Bengio, "FitNets: Hints for Thin Deep Nets" (ICLR 2015, arXiv 1412.6550),
equation 3, in the one-stage form of the CRD benchmark (ICLR 2020): second block, weight 100.
Differs from that code: side ratios it has no regressor for are first interpolated; `relu=False` leaves off the regressor's
last ReLU, which is wrong where the teacher's map can be negative (WRN, MobileNetV2).
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.base import Objective, Setting, Taps, teacher_outputs
from preceptor.objectives.features import maps_of, need
from preceptor.types import Step

__all__ = ["FitNet", "Regressor", "fitnet_loss"]


def fitnet_loss(student_map: Float[Tensor, "*shape"], teacher_map: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Return the mean squared difference.

    Args:
        student_map: the student's, after the regressor.
        teacher_map: the teacher's, same shape; constant in the gradient.

    Returns:
        mean over all elements; 0 where they are equal.

    Raises:
        ValueError: for shapes that differ.

    Example:
        >>> import torch
        >>> fitnet_loss(torch.zeros(1, 2), torch.tensor([[1.0, 3.0]])).item()
        5.0
    """
    if student_map.shape != teacher_map.shape:
        shapes = f"{tuple(student_map.shape)} and {tuple(teacher_map.shape)}"
        raise ValueError(f"student_map and teacher_map: shapes {shapes} differ (after the regressor)")
    return (promote(student_map) - promote(teacher_map.detach())).square().mean()


class Regressor(nn.Module):
    """Convolution, batch-norm, ReLU from the student's channels and size to the teacher's.

    Half the side: transposed 4x4 convolution with stride 2; twice the side: 3x3 with stride 2; a larger side: a kernel that
    eats the difference; anything else: nearest interpolation to the teacher's size, then 1x1.
    """

    def __init__(self, student_shape: Sequence[int], teacher_shape: Sequence[int], *, relu: bool) -> None:
        super().__init__()
        (before, *small), (after, *large) = student_shape, teacher_shape
        self._size: tuple[int, int] | None = None
        if small == [2 * side for side in large]:
            conv: nn.Module = nn.Conv2d(before, after, 3, stride=2, padding=1)
        elif [2 * side for side in small] == large:
            conv = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
        elif all(s >= t for s, t in zip(small, large, strict=True)):
            height, width = (1 + s - t for s, t in zip(small, large, strict=True))
            conv = nn.Conv2d(before, after, (height, width))
        else:
            self._size = (large[0], large[1])
            conv = nn.Conv2d(before, after, 1)
        self.layers = nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU() if relu else nn.Identity())

    def forward(self, student_map: Tensor) -> Tensor:
        if self._size is not None:
            student_map = functional.interpolate(student_map, size=self._size, mode="nearest")
        out: Tensor = self.layers(student_map)
        return out


class FitNet(Objective):
    """Squared distance of a regressed map of the student to a map of the teacher."""

    def __init__(self, student_feature: str = "block2", teacher_feature: str = "block2", relu: bool = True) -> None:
        super().__init__()
        self.student_feature = student_feature
        self.teacher_feature = teacher_feature
        self.relu = relu
        self.regressor: nn.Module = nn.Identity()

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        """Return the loss of maps [batch, channels, height, width]; before `build`, of equal shapes."""
        return fitnet_loss(self.regressor(student_map), teacher_map)

    def taps(self, student: Sequence[str], teacher: Sequence[str]) -> Taps:
        """Ask for the two maps."""
        return Taps(
            (need(self.student_feature, student, "student", "fitnet"),),
            (need(self.teacher_feature, teacher, "teacher", "fitnet"),),
        )

    def build(self, setting: Setting) -> None:
        """Make the regressor that fits the two shapes."""
        (student,) = maps_of(setting.student, [self.student_feature], "student", "fitnet")
        (teacher,) = maps_of(setting.teacher, [self.teacher_feature], "teacher", "fitnet")
        self.regressor = Regressor(student.shape[1:], teacher.shape[1:], relu=self.relu).to(student.device)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        teacher_map = teacher_outputs(step).features[self.teacher_feature]
        return self(step.student.features[self.student_feature], teacher_map)  # type: ignore[no-any-return]
