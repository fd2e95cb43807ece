"""Pooling and layers that fit the student's feature maps to the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Regressor", "pool_to", "pool_to_smaller"]


def pool_to(maps: Float[Tensor, "batch channels _ _"], size: tuple[int, int]) -> Float[Tensor, "batch channels _ _"]:
    """Return maps average-pooled to a size; unchanged where they have it."""
    if maps.shape[2:] == size:
        return maps
    (rows, too_high), (columns, too_wide) = (divmod(own, side) for own, side in zip(maps.shape[2:], size, strict=True))
    if too_high or too_wide or size == (1, 1):
        return functional.adaptive_avg_pool2d(maps, size)
    return functional.avg_pool2d(maps, (rows, columns))  # the same bits, and deterministic on CUDA, which that is not


def pool_to_smaller(
    one: Float[Tensor, "batch _ _ _"], other: Float[Tensor, "batch _ _ _"]
) -> tuple[Float[Tensor, "batch _ _ _"], Float[Tensor, "batch _ _ _"]]:
    """Return both maps at the smaller height and the smaller width, the larger average-pooled.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in pool_to_smaller(torch.zeros(1, 3, 8, 4), torch.zeros(1, 5, 4, 8))]
        [(1, 3, 4, 4), (1, 5, 4, 4)]
    """
    size = (min(one.shape[2], other.shape[2]), min(one.shape[3], other.shape[3]))
    return pool_to(one, size), pool_to(other, size)


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
