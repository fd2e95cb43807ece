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

from preceptor.data.augment.views import VIEWS, ViewOf, crop_by, flip_by, random_bits, view_words

__all__ = ["EXTRA_VIEWS", "OPERATIONS", "extra_view", "strengthen"]

_TURNED, _STRONG, _OPERATED = 100, 110, 120  # streams of random numbers; rotations use one each
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

    Every operation is computed for every image, and each image keeps the one that was chosen: to compute it for the chosen
    images alone, the host would have to wait for their number.

    Args:
        images: any size.
        choices: [rows, 4].
    """
    values = images.float()
    for number in range(_ROUNDS):
        which = (choices[:, 2 * number] * len(OPERATIONS)).long()
        sign = torch.where(choices[:, 2 * number + 1] < 0.5, -1.0, 1.0)
        values = _operate(values, which, sign).clamp(0, 255)
    return values.round().to(torch.uint8)


def _operate(values: Images, which: Tensor, sign: Tensor) -> Images:
    def chosen(name: str) -> Tensor:
        return (which == OPERATIONS.index(name))[:, None, None, None]

    other = torch.zeros_like(values)  # of brightness
    other = torch.where(chosen("color"), values.mean(1, keepdim=True), other)
    other = torch.where(chosen("contrast"), values.mean((1, 2, 3), keepdim=True), other)
    smooth = functional.avg_pool2d(values, 3, stride=1, padding=1, count_include_pad=False)
    other = torch.where(chosen("sharpness"), smooth, other)
    blended = other + (1 + sign * 0.9 * _MAGNITUDE)[:, None, None, None] * (values - other)
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    stretched = torch.where(high > low, (values - low) * 255 / (high - low).clamp_min(1), values)
    changed = torch.where((which >= _FIRST_WARP)[:, None, None, None], _warp(values, which, sign), blended)
    changed = torch.where(chosen("identity"), values, changed)
    changed = torch.where(chosen("autocontrast"), stretched, changed)
    changed = torch.where(chosen("posterize"), values - torch.remainder(values, 2 ** round(4 * _MAGNITUDE)), changed)
    solarized = torch.where(values >= 255 * (1 - _MAGNITUDE), 255 - values, values)
    return torch.where(chosen("solarize"), solarized, changed)


def _warp(values: Images, which: Tensor, sign: Tensor) -> Images:
    """Return each image read at an affine map of each pixel's place, that of its operation; outside is black."""
    one, zero, angle = torch.ones_like(sign), torch.zeros_like(sign), sign * math.radians(30 * _MAGNITUDE)
    maps = {
        "rotate": (angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero),
        "shear_x": (one, sign * _SHEAR, zero, zero, one, zero),
        "shear_y": (one, zero, zero, sign * _SHEAR, one, zero),
        "translate_x": (one, zero, sign * _SHIFT, zero, one, zero),
        "translate_y": (one, zero, zero, zero, one, sign * _SHIFT),
    }
    stacked = torch.stack([torch.stack(entries, dim=1) for entries in maps.values()], dim=1)
    place = (which - _FIRST_WARP).clamp_min(0)[:, None, None].expand(-1, 1, 6)
    grid = functional.affine_grid(stacked.gather(1, place).view(-1, 2, 3), list(values.shape), align_corners=False)
    return functional.grid_sample(values, grid, mode="nearest", align_corners=False)


def _strong(base: str) -> ViewOf:
    plain = VIEWS[base]

    def draw(seed: int, epoch: int, index: Tensor) -> Tensor:
        own = plain.draw(seed ^ _STRONG, epoch, index)  # a crop and a mirroring of its own
        words = [random_bits(seed, epoch, index, stream=_OPERATED + number) for number in range(_ROUNDS)]
        return torch.cat([torch.cat(words, dim=1).double() / 2**32, own.double()], dim=1)

    def apply(images: Tensor, numbers: Tensor) -> Tensor:
        choices, own = numbers[:, : 2 * _ROUNDS], numbers[:, 2 * _ROUNDS :]
        own = own if base == "random_resized_crop_flip" else own.long()
        return strengthen(plain.apply(images, own), choices.float())

    return ViewOf(draw, apply)


def _rotated(turns: int, base: str) -> ViewOf:
    def draw(seed: int, epoch: int, index: Tensor) -> Tensor:
        own = random_bits(seed, epoch, index, stream=_TURNED + turns)
        return torch.cat([view_words(seed, epoch, index), own], dim=1)

    def apply(images: Tensor, numbers: Tensor) -> Tensor:
        images = flip_by(images, numbers[:, :2]) if "flip" in base else images
        turned = torch.rot90(images, turns, dims=(2, 3))
        return crop_by(turned, numbers[:, 2:]) if "crop" in base else turned

    return ViewOf(draw, apply)


_SHEAR, _SHIFT = 0.3 * _MAGNITUDE, 2 * 150 / 331 * _MAGNITUDE  # a shift of 2 is a whole side

OPERATIONS = (
    "identity",
    "autocontrast",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
_FIRST_WARP = OPERATIONS.index("rotate")

_VIEWS: dict[str, Callable[[str], ViewOf]] = {
    "strong": _strong,
    "rotated_90": partial(_rotated, 1),
    "rotated_180": partial(_rotated, 2),
    "rotated_270": partial(_rotated, 3),
}
EXTRA_VIEWS = tuple(_VIEWS)
