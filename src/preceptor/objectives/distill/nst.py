"""Neuron selectivity transfer: the same set of channel patterns, as a maximum mean discrepancy.

Source: Huang, Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer" (arXiv 1707.01219), equation 7
with the polynomial kernel (a.b)^2; weight 50 as in the CRD benchmark (ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.connectors import pool_to_smaller
from preceptor.objectives.features import Pairing
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_levels

__all__ = ["NST", "nst_loss"]


def nst_loss(
    student_maps: Sequence[Float[Tensor, "batch _ _ _"]], teacher_maps: Sequence[Float[Tensor, "batch _ _ _"]]
) -> Float[Tensor, ""]:
    """Return sum over levels of mean k(T, T) + mean k(S, S) - 2 mean k(S, T), k(a, b) = (a.b)^2 of unit channel patterns.

    Args:
        student_maps: one per level, [batch, channels, height, width].
        teacher_maps: as many, other channels and sizes allowed: the larger side is average-pooled; constant in the gradient.

    Returns:
        a squared distance, at least 0 up to rounding; 0 where the sets of channel patterns are equal, whatever the order and
        positive scale of channels.

    Raises:
        ValueError: for lists of different or no length.

    Examples:
        >>> one = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
        >>> nst_loss([one], [5 * one.flip(1)]).item()
        0.0
    """
    check_levels(student_maps, teacher_maps)
    total = student_maps[0].new_zeros((), dtype=promote(student_maps[0]).dtype)
    for student, teacher in zip(student_maps, teacher_maps, strict=True):
        mine, its = (_patterns(maps) for maps in pool_to_smaller(promote(student), promote(teacher.detach())))
        total = total + _discrepancy(mine, its)
    return total


def _patterns(maps: Tensor) -> Tensor:
    """Return each channel as a unit vector over space, [batch, channels, positions]."""
    return functional.normalize(maps.flatten(2), dim=2, eps=1e-12)


def _discrepancy(mine: Tensor, its: Tensor) -> Tensor:
    """Return the squared discrepancy of patterns [batch, channels, positions].

    The mean of (a.b)^2 over the channels a of A and b of B is <A'A, B'B> over their numbers. So the discrepancy is the squared
    distance between the moments A'A / channels too, which are the smaller matrices where positions are few.
    """
    channels, positions = max(mine.shape[1], its.shape[1]), mine.shape[2]
    with torch.autocast(mine.device.type, enabled=False):
        if positions <= channels:
            return (_moments(its) - _moments(mine)).square().sum((1, 2)).mean()
        return _kernel(its, its) + _kernel(mine, mine) - 2 * _kernel(mine, its)


def _moments(patterns: Tensor) -> Tensor:
    return patterns.mT @ patterns / patterns.shape[1]


def _kernel(one: Tensor, other: Tensor) -> Tensor:
    return (one @ other.mT).square().mean()


class NST(PairedObjective):
    """Discrepancy between the channel patterns of paired blocks."""

    multilabel = "as_is"

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.pairing = Pairing("nst", pairs)

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the loss of lists of maps [batch, channels, height, width]."""
        return nst_loss(student_maps, teacher_maps)
