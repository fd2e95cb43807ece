"""Hints: a regressor from one of the student's maps should give one of the teacher's.

Source: Romero, Ballas, Kahou, Chassang, Gatta, Bengio, "FitNets: Hints for Thin Deep Nets" (ICLR 2015, arXiv 1412.6550),
equation 3, in the one-stage form of the CRD benchmark (ICLR 2020): second block, weight 100.
Differs from that code: side ratios it has no regressor for are first interpolated; `relu=False` leaves off the regressor's
last ReLU, which is wrong where the teacher's map can be negative (WRN, MobileNetV2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.divergences import promote
from preceptor.objectives.base import BuildContext
from preceptor.objectives.connectors import Regressor
from preceptor.objectives.features import Pairing
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_levels, check_shapes

__all__ = ["FitNet", "fitnet_loss"]


def fitnet_loss(student_map: Float[Tensor, "*shape"], teacher_map: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Return the mean squared difference.

    Args:
        student_map: the student's, after the regressor.
        teacher_map: the teacher's, same shape; constant in the gradient.

    Returns:
        mean over all elements; 0 where they are equal.

    Raises:
        ValueError: for shapes that differ.

    Examples:
        >>> import torch
        >>> fitnet_loss(torch.zeros(1, 2), torch.tensor([[1.0, 3.0]])).item()
        5.0
    """
    check_shapes(student_map, teacher_map, "student_map and teacher_map", " (after the regressor)")
    return (promote(student_map) - promote(teacher_map.detach())).square().mean()


class FitNet(PairedObjective):
    """Squared distance of regressed maps of the student to maps of the teacher: by default the second blocks'."""

    multilabel = "as_is"

    def __init__(self, relu: bool = True, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.relu = relu
        self.pairing = Pairing("fitnet", pairs, which="second")
        self.regressors = nn.ModuleList()

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the sum over levels of maps [batch, channels, height, width]; before `build`, of equal shapes."""
        check_levels(student_maps, teacher_maps)
        regressed = [regressor(maps) for regressor, maps in zip(self.regressors, student_maps, strict=False)]
        levels = zip(regressed or student_maps, teacher_maps, strict=True)
        return torch.stack([fitnet_loss(student, teacher) for student, teacher in levels]).sum()

    def build(self, context: BuildContext) -> None:
        """Make the regressors that fit the shapes."""
        shapes = self.pairing.shapes(context)
        regressors = nn.ModuleList(Regressor(student, teacher, relu=self.relu) for student, teacher in shapes)
        self.regressors = regressors.to(context.student.logits.device)
