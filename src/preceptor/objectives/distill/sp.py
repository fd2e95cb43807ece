"""Similarity preserving: samples that are alike to the teacher should be alike to the student.

Source: Tung, Mori, "Similarity-Preserving Knowledge Distillation" (ICCV 2019, arXiv 1907.09682), equations 1 to 4; weight 3000
and the last map as in the CRD benchmark (ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.features import Pairing
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_rows
from preceptor.types import Step

__all__ = ["SP", "sp_loss"]


def sp_loss(student_map: Float[Tensor, "batch ..."], teacher_map: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
    """Return |G_S - G_T|^2 / batch^2, G = F F' with rows scaled to length 1.

    Args:
        student_map: any features; each sample's are flattened.
        teacher_map: of any other shape; constant in the gradient.

    Returns:
        squared Frobenius distance over batch^2; 0 where the similarities are equal, whatever the scale of all features.

    Raises:
        ValueError: for batches of different size.

    Examples:
        >>> one = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> round(sp_loss(one, torch.ones(2, 3)).item(), 4)  # 2 (1 - 0.7071)^2 + 2 0.7071^2 over 4
        0.2929
    """
    check_rows(student_map, teacher_map, "student_map and teacher_map")
    return (_similarity(student_map) - _similarity(teacher_map.detach())).square().mean()


def _similarity(features: Tensor) -> Tensor:
    flat = promote(features).flatten(1)
    with torch.autocast(flat.device.type, enabled=False):
        return functional.normalize(flat @ flat.T, eps=1e-12)


class SP(PairedObjective):
    """Distance between the similarities of samples in a batch: by default of the last maps."""

    compares_rows = True
    multilabel = "as_is"

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.pairing = Pairing("sp", pairs, which="last")

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        """Return the loss of features [batch, ...]."""
        return sp_loss(student_map, teacher_map)

    def loss(self, step: Step) -> Tensor:
        """Return the sum over pairs."""
        return torch.stack([self(*pair) for pair in zip(*self.pairing.maps(step), strict=True)]).sum()
