"""Scale decoupling: KD on the logits of regions of the last map, more where a region contradicts the image.

Source: Wei, Luo, Luo, "Scale Decoupled Distillation" (CVPR 2024, arXiv 2403.13512), equations 3 to 8; the reliability of a
region's teacher, off by default, is that part alone of the public code of RSM.
Differs from the authors' code: a loss that is not finite does not count as 0; no NKD as base, whose mask there removes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from preceptor.divergences import decoupled_kl, soft_kl
from preceptor.models import classifier_parameters
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps
from preceptor.objectives.fallback import labels_or_guesses
from preceptor.objectives.hyperparameters import one_of, positive
from preceptor.objectives.last_map import LastMaps, region_logits, region_means
from preceptor.objectives.row_weights import mean_of_rows, reliability_weights
from preceptor.objectives.tensor_checks import check_classes, check_shapes
from preceptor.types import Step

__all__ = ["SDD", "sdd_loss", "sdd_regions"]


Base = Literal["kd", "dkd"]
sdd_regions = region_means


def sdd_loss(
    student_regions: Float[Tensor, "batch classes regions"],
    teacher_regions: Float[Tensor, "batch classes regions"],
    labels: Int[Tensor, " batch"],
    *,
    base: Base = "kd",
    temperature: float = 4.0,
    consistent_weight: float = 1.0,
    complementary_weight: float = 2.0,
    target_weight: float = 1.0,
    nontarget_weight: float = 8.0,
    reliability_floor: float | None = None,
    reliability_power: float = 1.0,
) -> Float[Tensor, ""]:
    """Return the mean over samples and regions of weight times temperature^2 KL, or DKD.

    Args:
        student_regions: logits; column 0 is the image. The teacher's are constant in the gradient.
        teacher_regions: likewise.
        labels: classes.
        base: "kd", or "dkd" with its two weights.
        temperature: above 0.
        consistent_weight: of regions on which the teacher is right, or wrong, as it is on the image.
        complementary_weight: of the others.
        target_weight: of the target's term of DKD.
        nontarget_weight: of the other classes' term of DKD.
        reliability_floor: None, or with reliability_power as in `reliability_weights`.
        reliability_power: likewise.

    Returns:
        nats per region; 0 where all rows differ by a constant only.

    Raises:
        ValueError: for an unknown base, a temperature that is not above 0, or regions of different shapes.

    Examples:
        >>> same = torch.tensor([[[2.0], [1.0]]])
        >>> sdd_loss(same, same, torch.tensor([0])).item()
        0.0
    """
    check_shapes(student_regions, teacher_regions, "student_regions and teacher_regions")
    check_classes(labels, student_regions)
    temperature = positive(temperature, "temperature")
    student, teacher = (each.transpose(1, 2).flatten(0, 1) for each in (student_regions, teacher_regions.detach()))
    is_right = teacher_regions.argmax(1) == labels[:, None]
    weights = torch.where((is_right != is_right[:, :1]).flatten(), complementary_weight, consistent_weight)
    if reliability_floor is not None:
        floor, power = reliability_floor, reliability_power
        weights = weights * reliability_weights(teacher, temperature=temperature, floor=floor, power=power)
    if one_of(base, get_args(Base), "base") == "kd":
        return mean_of_rows(soft_kl(student, teacher, temperature), weights)
    of_regions = labels[:, None].expand_as(is_right).flatten()
    target, nontarget = decoupled_kl(student, teacher, of_regions, temperature)
    return mean_of_rows(temperature**2 * (target_weight * target + nontarget_weight * nontarget), weights)


class SDD(Objective):
    """KD on region logits, by each network's own classifier; a row without a label takes the teacher's class for it."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        base: Base = "kd",
        scales: tuple[int, ...] = (1, 2),
        temperature: float = 4.0,
        complementary_weight: float = 2.0,
        target_weight: float = 1.0,
        nontarget_weight: float = 8.0,
        reliability_floor: float | None = None,
        pairs: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        region_means(torch.zeros(1, 1, 1, 1), scales=scales)  # checks them
        self.scales = scales
        self._loss = partial(
            sdd_loss,
            base=one_of(base, get_args(Base), "base"),
            temperature=positive(temperature, "temperature"),
            complementary_weight=complementary_weight,
            target_weight=target_weight,
            nontarget_weight=nontarget_weight,
            reliability_floor=reliability_floor,
        )
        self._maps = LastMaps("sdd", pairs)
        self.register_buffer("weight", None)
        self.register_buffer("bias", None)

    def forward(self, student_regions: Tensor, teacher_regions: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of region logits [batch, classes, regions] and labels [batch]."""
        return self._loss(student_regions, teacher_regions, labels)

    def wrap_student(self, model: nn.Module, context: BuildContext) -> nn.Module:
        """Find both last maps; the student stays as it is."""
        self._maps.find(context)
        return model

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Ask for the last maps."""
        return self._maps.taps(student, teacher)

    def build(self, context: BuildContext) -> None:
        """Keep the teacher's classifier."""
        weight, bias = self._maps.teacher_classifier(context)
        device = context.student.logits.device
        self.weight, self.bias = weight.detach().clone().to(device), bias.detach().clone().to(device)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher; rows without a label take the teacher's class."""
        student_map, teacher_map = self._maps.maps(step)
        own = classifier_parameters(step.model, step.student.logits.shape[1])
        its = region_logits(teacher_map, self.weight, self.bias, self.scales)
        return self(region_logits(student_map, *own, self.scales), its, labels_or_guesses(step))
