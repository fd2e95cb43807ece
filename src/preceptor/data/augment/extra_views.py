"""Extra views of a sample beside the one that is trained on: rotations and strong augmentation, keyed like all views.

Source: rotations: Xu, Liu, Li, Loy (ECCV 2020): mirrored once, turned, then cropped once more; strong: RandAugment (Cubuk, Zoph,
Shlens, Le, NeurIPS 2020) with 2 operations at magnitude 10 of 30, as Jin, Wang, Lin (CVPR 2023) use it.
Differs from their code: all operations work on a whole batch of uint8 images at once; turned and sheared images are
sampled at the nearest pixel; equalisation is not among the operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from preceptor.data.augment.views import VIEWS, ViewOf, crop, flip, random_bits

__all__ = ["EXTRA_VIEWS", "extra_view", "strengthen"]

_TURNED, _STRONG, _OPERATIONS = 100, 110, 120  # streams of random numbers; rotations use one each
_MAGNITUDE = 10 / 30
_ROUNDS = 2

Images = Float[Tensor, "rows channels height width"]


def extra_view(name: str, base: str) -> ViewOf:
    """Return the view with this name beside the view `base`: it crops and mirrors only if `base` does.

    Raises:
        KeyError: for a name that is not in EXTRA_VIEWS.
    """
    return _VIEWS[name](base)


def strengthen(
    images: UInt8[Tensor, "rows channels height width"], choices: Float[Tensor, "rows draws"]
) -> UInt8[Tensor, "rows channels height width"]:
    """Return each image after two operations chosen by uniform numbers in [0, 1), two numbers per round: which, and its sign.

    Args:
        images: any size.
        choices: [rows, 4].
    """
    values = images.float()
    for number in range(_ROUNDS):
        which = (choices[:, 2 * number] * len(_OPS)).long()
        sign = torch.where(choices[:, 2 * number + 1] < 0.5, -1.0, 1.0)
        changed = values
        for place, operation in enumerate(_OPS):
            rows = (which == place).nonzero()[:, 0]
            if len(rows):
                changed = changed.index_copy(0, rows, operation(values[rows], sign[rows]).clamp(0, 255))
        values = changed
    return values.round().to(torch.uint8)


def _strong(base: str) -> ViewOf:
    def view(images: Tensor, seed: int, epoch: int, index: Tensor) -> Tensor:
        plain = VIEWS[base](images, seed ^ _STRONG, epoch, index)  # a crop and a mirroring of its own
        words = [random_bits(seed, epoch, index, stream=_OPERATIONS + number) for number in range(_ROUNDS)]
        return strengthen(plain, torch.cat(words, dim=1).float() / 2**32)

    return view


def _rotated(turns: int, base: str) -> ViewOf:
    def view(images: Tensor, seed: int, epoch: int, index: Tensor) -> Tensor:
        if "flip" in base:
            images = flip(images, seed, epoch, index)
        turned = torch.rot90(images, turns, dims=(2, 3))
        return crop(turned, random_bits(seed, epoch, index, stream=_TURNED + turns)) if "crop" in base else turned

    return view


def _blend(images: Images, other: Tensor, sign: Tensor) -> Images:
    """Return other + (1 +- 0.9 magnitude) (image - other): more or less of what distinguishes the image."""
    return other + (1 + sign * 0.9 * _MAGNITUDE)[:, None, None, None] * (images - other)


def _brightness(images: Images, sign: Tensor) -> Images:
    return _blend(images, torch.zeros_like(images), sign)


def _color(images: Images, sign: Tensor) -> Images:
    return _blend(images, images.mean(1, keepdim=True), sign)


def _contrast(images: Images, sign: Tensor) -> Images:
    return _blend(images, images.mean((1, 2, 3), keepdim=True), sign)


def _sharpness(images: Images, sign: Tensor) -> Images:
    return _blend(images, functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False), sign)


def _autocontrast(images: Images, sign: Tensor) -> Images:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) * 255 / (high - low).clamp_min(1), images)


def _posterize(images: Images, sign: Tensor) -> Images:
    step = 2 ** round(4 * _MAGNITUDE)
    return images - torch.remainder(images, step)


def _solarize(images: Images, sign: Tensor) -> Images:
    return torch.where(images >= 255 * (1 - _MAGNITUDE), 255 - images, images)


def _identity(images: Images, sign: Tensor) -> Images:
    return images


def _warp(entries: Callable[[Tensor], tuple[Tensor, ...]]) -> Callable[[Images, Tensor], Images]:
    """Return an operation that reads each pixel at an affine map (a, b, c, d, e, f) of its place; outside is black."""

    def operation(images: Images, sign: Tensor) -> Images:
        matrix = torch.stack(entries(sign), dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, mode="nearest", align_corners=False)

    return operation


def _turn(sign: Tensor) -> tuple[Tensor, ...]:
    angle = sign * math.radians(30 * _MAGNITUDE)
    return angle.cos(), -angle.sin(), 0 * angle, angle.sin(), angle.cos(), 0 * angle


_SHEAR, _SHIFT = 0.3 * _MAGNITUDE, 2 * 150 / 331 * _MAGNITUDE  # a shift of 2 is a whole side

_OPS: tuple[Callable[[Images, Tensor], Images], ...] = (
    _identity,
    _autocontrast,
    _brightness,
    _color,
    _contrast,
    _sharpness,
    _posterize,
    _solarize,
    _warp(_turn),
    _warp(lambda sign: (0 * sign + 1, sign * _SHEAR, 0 * sign, 0 * sign, 0 * sign + 1, 0 * sign)),
    _warp(lambda sign: (0 * sign + 1, 0 * sign, 0 * sign, sign * _SHEAR, 0 * sign + 1, 0 * sign)),
    _warp(lambda sign: (0 * sign + 1, 0 * sign, sign * _SHIFT, 0 * sign, 0 * sign + 1, 0 * sign)),
    _warp(lambda sign: (0 * sign + 1, 0 * sign, 0 * sign, 0 * sign, 0 * sign + 1, sign * _SHIFT)),
)

_VIEWS: dict[str, Callable[[str], ViewOf]] = {
    "strong": _strong,
    "rotated_90": partial(_rotated, 1),
    "rotated_180": partial(_rotated, 2),
    "rotated_270": partial(_rotated, 3),
}
EXTRA_VIEWS = tuple(_VIEWS)
