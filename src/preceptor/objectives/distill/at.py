"""Attention transfer: look where the teacher looks.

Source: Zagoruyko, Komodakis, "Paying More Attention to Attention" (ICLR 2017, arXiv 1612.03928), equation 2, in the form of
the CRD benchmark (Tian, Krishnan, Isola, ICLR 2020): squared distances, mean over positions, weight 1000.
Differs from that code: maps that are not square are pooled by height and width apart; where one network has more blocks, they
are paired by resolution, and there by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.connectors import pool_to_smaller
from preceptor.objectives.features import Pairing
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_levels

__all__ = ["AT", "at_loss"]


def at_loss(
    student_maps: Sequence[Float[Tensor, "batch _ _ _"]],
    teacher_maps: Sequence[Float[Tensor, "batch _ _ _"]],
    *,
    power: float = 2.0,
) -> Float[Tensor, ""]:
    """Return sum over levels of mean (a_S - a_T)^2, a = the L2-normalised mean over channels of |map|^power.

    Args:
        student_maps: one per level, [batch, channels, height, width].
        teacher_maps: as many, other channels and sizes allowed: the larger side is average-pooled; constant in the gradient.
        power: above 0.

    Returns:
        a squared distance, mean over batch and positions; 0 where attention is equal, whatever the scale.

    Raises:
        ValueError: for lists of different or no length, or a power that is not above 0.

    Examples:
        >>> import torch
        >>> one = torch.tensor([[[[1.0, 0.0]]]])
        >>> at_loss([one], [one.flip(-1)]).item()
        1.0
    """
    check_levels(student_maps, teacher_maps)
    power = positive(power, "power")
    total = student_maps[0].new_zeros((), dtype=promote(student_maps[0]).dtype)
    for student, teacher in zip(student_maps, teacher_maps, strict=True):
        mine, its = pool_to_smaller(promote(student), promote(teacher.detach()))
        total = total + (_attention(mine, power) - _attention(its, power)).square().mean()
    return total


def _attention(pooled: Tensor, power: float) -> Tensor:
    return functional.normalize(pooled.abs().pow(power).mean(1).flatten(1), eps=1e-12)


class AT(PairedObjective):
    """Distance between the attention maps of paired blocks."""

    multilabel = "as_is"

    def __init__(self, power: float = 2.0, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.power = positive(power, "power")
        self.pairing = Pairing("at", pairs)

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the loss of lists of maps [batch, channels, height, width]."""
        return at_loss(student_maps, teacher_maps, power=self.power)
