"""The arithmetic of mixing two images: which partner, and how much of either at each pixel.

Every function that draws takes a numpy Generator; `counter_rng` makes one from a counter, so that there is no state to keep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["box_weights", "counter_rng", "draw_weights", "lerp_rows", "patch_weights", "upload"]

_MIXING = 2  # the stream of random numbers
_COPIED_AT_ONCE = 2**16  # bytes: more than that must be pinned, or the host waits until the device gets to the copy


def counter_rng(seed: int, epoch: int, number: int) -> np.random.Generator:
    """Return a generator that is a pure function of the run's seed, the epoch and the batch's number in it (Philox 4x64)."""
    return np.random.Generator(np.random.Philox(key=(seed << 32) | epoch, counter=(number << 32) | _MIXING))


def upload(values: Tensor, device: torch.device) -> Tensor:
    """Return what was drawn on the CPU on the device of the batch, without waiting for what the device still has to do."""
    pinned = device.type == "cuda" and values.nbytes > _COPIED_AT_ONCE
    return (values.pin_memory() if pinned else values).to(device, non_blocking=True)


def draw_weights(random: np.random.Generator, alpha: float, count: int) -> Float[Tensor, " count"]:
    """Return independent draws of Beta(alpha, alpha), each the share of a row itself, not of its partner."""
    return torch.from_numpy(random.beta(alpha, alpha, count)).float()


def lerp_rows(
    values: Float[Tensor, rows * shape], partner: Int[Tensor, " rows"], weight: Float[Tensor, ...]
) -> Float[Tensor, rows * shape]:
    """Return weight values + (1 - weight) values[partner].

    Args:
        values: one row per sample.
        partner: the row mixed into each.
        weight: in [0, 1], broadcast against the values; 1 leaves them as they are.

    Examples:
        >>> lerp_rows(torch.tensor([[0.0], [4.0]]), torch.tensor([1, 0]), torch.tensor(0.75)).flatten().tolist()
        [1.0, 3.0]
    """
    return torch.lerp(values[partner], values, weight.to(values.dtype))


def box_weights(
    random: np.random.Generator, share: float, height: int, width: int
) -> Float[Tensor, "1 1 height width"]:
    """Return 0 inside a box of about `1 - share` of the area, 1 outside; its centre is uniform, and it is clipped to the image.

    Source: Yun, Han, Oh, Chun, Choe, Yoo, "CutMix" (ICCV 2019, arXiv 1905.04899), equation 2.
    """
    sides = [int(math.sqrt(1 - share) * side) for side in (height, width)]
    centres = [int(random.integers(side)) for side in (height, width)]
    rows, columns = (
        slice(max(centre - side // 2, 0), centre + side // 2) for centre, side in zip(centres, sides, strict=True)
    )
    weights = torch.ones(1, 1, height, width)
    weights[:, :, rows, columns] = 0
    return weights


def patch_weights(
    weights: Float[Tensor, " patches"] | Sequence[float], patch_size: int, height: int, width: int
) -> Float[Tensor, "1 1 height width"]:
    """Return one weight per square patch, spread over its pixels, patches row by row.

    Source: Deng, Zheng, Zhang, "Personalized Education: Blind Knowledge Distillation" (ECCV 2022), MixPatch.

    Raises:
        ValueError: when the patch size divides no side, or the number of weights is not that of the patches.

    Examples:
        >>> patch_weights(torch.tensor([0.0, 1.0]), 1, 1, 2).tolist()
        [[[[0.0, 1.0]]]]
    """
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise ValueError(f"patch_size: {patch_size} does not divide images of {height} x {width}")
    grid = torch.as_tensor(weights, dtype=torch.float32)
    down, across = height // patch_size, width // patch_size
    if len(grid) != down * across:
        raise ValueError(f"weights: {len(grid)} for {down} x {across} patches")
    grid = grid.reshape(1, 1, down, across)
    return grid.repeat_interleave(patch_size, 2).repeat_interleave(patch_size, 3)
