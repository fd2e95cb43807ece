"""Variational information distillation: predict the teacher's maps, with a learned variance for each channel.

Source: Ahn, Hu, Damianou, Lawrence, Dai, "Variational Information Distillation for Knowledge Transfer" (CVPR 2019, arXiv
1904.05835), equations 5 and 6, with the regressors of the CRD benchmark (ICLR 2020): three 1x1 convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.base import BuildContext
from preceptor.objectives.connectors import pool_to_smaller
from preceptor.objectives.features import Pairing
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_levels, check_shapes

__all__ = ["VID", "vid_loss"]

_FLOOR = 1e-5


def vid_loss(
    predicted_mean: Float[Tensor, "batch channels height width"],
    raw_scale: Float[Tensor, " channels"],
    teacher_map: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, ""]:
    """Return mean of ((mean - teacher)^2 / variance + log variance) / 2, variance = softplus(raw) + 1e-5; not 0 at equality.

    Args:
        predicted_mean: what the student's regressor gives.
        raw_scale: the variances before softplus, learned.
        teacher_map: of the same shape; constant in the gradient.

    Returns:
        nats per element up to a constant, mean over all elements; below 0 where the variance is small and right. Least where
        each channel's variance is its mean squared error.

    Raises:
        ValueError: for maps whose shapes differ, or a scale that is not one per channel.

    Examples:
        >>> raw = torch.tensor([math.log(math.expm1(1.0 - 1e-5))])  # variance 1
        >>> round(vid_loss(torch.ones(1, 1, 1, 1), raw, torch.zeros(1, 1, 1, 1)).item(), 6)
        0.5
    """
    check_shapes(predicted_mean, teacher_map, "predicted_mean and teacher_map", " (after the regressor)")
    if raw_scale.shape != teacher_map.shape[1:2]:
        raise ValueError(f"raw_scale: shape {tuple(raw_scale.shape)} for maps of {teacher_map.shape[1]} channels")
    variance = (functional.softplus(promote(raw_scale)) + _FLOOR)[:, None, None]
    squared = (promote(predicted_mean) - promote(teacher_map.detach())).square()
    return ((squared / variance + variance.log()) / 2).mean()


def _regressor(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(before, after, 1, bias=False)]
    for _ in range(2):
        layers += [nn.ReLU(), nn.Conv2d(after, after, 1, bias=False)]
    return nn.Sequential(*layers)


class VID(PairedObjective):
    """Gaussian log-likelihood of the teacher's maps under the student's regressed ones, over paired blocks."""

    multilabel = "as_is"

    def __init__(self, initial_variance: float = 5.0, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        if not initial_variance > _FLOOR:
            raise ValueError(f"initial_variance: {initial_variance} is not above {_FLOOR}")
        self.initial_variance = initial_variance
        self.pairing = Pairing("vid", pairs)
        self.regressors = nn.ModuleList()
        self.raw_scales = nn.ParameterList()

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the sum over levels of maps [batch, channels, height, width]; after `build`."""
        check_levels(student_maps, teacher_maps)
        losses = []
        levels = zip(student_maps, teacher_maps, self.regressors, self.raw_scales, strict=True)
        for student, teacher, regressor, raw_scale in levels:
            mine, its = pool_to_smaller(student, teacher)
            losses.append(vid_loss(promote(regressor(mine)), promote(raw_scale), promote(its)))
        return torch.stack(losses).sum()

    def build(self, context: BuildContext) -> None:
        """Make a regressor and a scale for each pair."""
        device = context.student.logits.device
        above = self.initial_variance - _FLOOR
        raw = above + math.log(-math.expm1(-above))  # the inverse of softplus
        shapes = self.pairing.shapes(context)
        self.regressors = nn.ModuleList(_regressor(mine[0], its[0]) for mine, its in shapes).to(device)
        self.raw_scales = nn.ParameterList(torch.full((its[0],), raw, device=device) for _, its in shapes)
