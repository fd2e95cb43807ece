"""Singular vectors of feature maps, and how they change from block to block.

Source: Lee, Kim, Song, "Self-supervised Knowledge Distillation using Singular Value Decomposition" (ECCV 2018, arXiv
1807.06819), equations 1 to 4, with one singular vector, as in the CRD benchmark (ICLR 2020).
Differs from that code: the vectors are eigenvectors of the channels' Gram matrix, whose gradients are kept finite by a floor
under the gaps between eigenvalues, so that no term has to be dropped; the teacher's sign, which is arbitrary, is the one whose
entries sum to a positive number.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import promote
from preceptor.objectives.base import BuildContext
from preceptor.objectives.features import Pairing
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_neighbours

__all__ = ["KDSVD", "kdsvd_loss"]

_CANDIDATES = 4  # of the student's first vectors, the one nearest to the teacher's first counts
_BANDWIDTH = 8.0
_GAP = 1e-4  # of eigenvalues, relative to the largest


def kdsvd_loss(
    student_maps: Sequence[Float[Tensor, "batch _ _ _"]], teacher_maps: Sequence[Float[Tensor, "batch _ _ _"]]
) -> Float[Tensor, ""]:
    """Return sum over neighbouring maps of |R_S - R_T|^2 / batch, R = exp(-(v_i[c] - v_(i-1)[c'])^2 / 8).

    Here v_i is the first right singular vector of map i as (positions, channels); of the student's first four the one with the
    largest cosine to the teacher's is taken, with its sign.

    Args:
        student_maps: in network order, [batch, channels, height, width].
        teacher_maps: as many, with the same channels; sizes may differ; constant in the gradient.

    Returns:
        a sum of squares, batch mean; 0 where the vectors are equal.

    Raises:
        ValueError: for lists of different length or of fewer than two maps, or channels that differ.

    Examples:
        >>> maps = [torch.rand(2, 3, 4, 4), torch.rand(2, 5, 2, 2)]
        >>> kdsvd_loss(maps, maps).item() < 1e-9
        True
    """
    check_neighbours(student_maps, teacher_maps)
    theirs = [_upright(_right_vectors(maps.detach(), 1)) for maps in teacher_maps]
    mine = [_nearest(_right_vectors(maps, _CANDIDATES), its) for maps, its in zip(student_maps, theirs, strict=True)]
    relations = zip(itertools.pairwise(mine), itertools.pairwise(theirs), strict=True)
    apart = [(_kernel(*ours) - _kernel(*its)).square().sum() / len(student_maps[0]) for ours, its in relations]
    return torch.stack(apart).sum()


def _right_vectors(maps: Tensor, number: int) -> Tensor:
    """Return the first right singular vectors of each sample's (positions, channels) matrix, [batch, channels, number]."""
    flat = promote(maps).flatten(2)
    # the vectors do not depend on the scale, and products of large values would overflow
    flat = flat / flat.detach().abs().amax((1, 2), keepdim=True).clamp_min(1e-12)
    with torch.autocast(flat.device.type, enabled=False):
        vectors: Tensor = _FirstVectors.apply(flat @ flat.mT, min(number, *flat.shape[1:]))  # type: ignore[no-untyped-call]
    return vectors


class _FirstVectors(torch.autograd.Function):
    """The first eigenvectors of symmetric matrices, with gaps between eigenvalues not smaller than a floor in the gradient."""

    @staticmethod
    def forward(ctx: Any, gram: Tensor, number: int) -> Tensor:
        is_finite = gram.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
        values, vectors = torch.linalg.eigh(torch.where(is_finite, gram, 0.0))  # which raises on what is not finite
        vectors = torch.where(is_finite, vectors, torch.nan)  # so that it is the loss that shows it
        ctx.save_for_backward(values, vectors)
        first: Tensor = vectors[..., -number:].flip(-1)
        return first

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        values, vectors = ctx.saved_tensors
        number = gradient.shape[-1]
        chosen, eigenvalues = vectors[..., -number:].flip(-1), values[..., -number:].flip(-1)
        gaps = eigenvalues[..., None, :] - values[..., :, None]
        floor = _GAP * values[..., -1:, None].clamp_min(1e-12)
        is_itself = gaps == 0
        gaps = torch.where(gaps.abs() < floor, torch.where(gaps < 0, -floor, floor), gaps)
        inner = (vectors.mT @ gradient / gaps).masked_fill(is_itself, 0.0)
        result = vectors @ inner @ chosen.mT
        return (result + result.mT) / 2, None


def _upright(vectors: Tensor) -> Tensor:
    first: Tensor = vectors[..., 0]
    return first.mul(first.sum(1, keepdim=True).ge(0).to(first.dtype) * 2 - 1)


def _nearest(vectors: Tensor, target: Tensor) -> Tensor:
    cosines = (vectors.detach() * target[..., None]).sum(1)
    best = cosines.abs().argmax(1)
    chosen = vectors.gather(2, best[:, None, None].expand(-1, vectors.shape[1], 1))[..., 0]
    return chosen * torch.where(cosines.gather(1, best[:, None]) < 0, -1.0, 1.0)


def _kernel(before: Tensor, after: Tensor) -> Tensor:
    return torch.exp(-(after[:, :, None] - before[:, None, :]).square() / _BANDWIDTH)


class KDSVD(PairedObjective):
    """Distance between how singular vectors change over the blocks; needs equal channels level by level."""

    multilabel = "as_is"

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.pairing = Pairing("kdsvd", pairs, neighbours=True)

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the loss of lists of maps [batch, channels, height, width]."""
        return kdsvd_loss(student_maps, teacher_maps)

    def build(self, context: BuildContext) -> None:
        """Check that channels are equal."""
        self.pairing.check_channels(context)
