"""Augmentations of a whole batch of uint8 images at once, keyed like all views: TrivialAugment, RandAugment, ...

Source: TrivialAugment Wide (Müller, Hutter, ICCV 2021, Table 1), RandAugment (Cubuk, Zoph, Shlens, Le, NeurIPS 2020), random
erasing (Zhong, Zheng, Kang, Li, Yang, AAAI 2020). The operations are those of Pillow, which both policies were written in.
Differs from their code: values are rounded, where Pillow cuts their fractions off.

Every operation is computed for every image, and each image keeps the one that was chosen: to compute it for the chosen images
alone, the host would have to wait for their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from preceptor.constants import constant
from preceptor.data.augment.views import ViewOf, random_bits

__all__ = ["AUGMENTATIONS", "OPERATIONS", "RAND", "WIDE", "Ranges", "operate", "rand_augment"]

_TRIVIAL, _RAND, _JITTER, _ERASING = 130, 140, 150, 160  # streams of random numbers
_LUMA = 0.299, 0.587, 0.114  # ITU-R BT.601
_BINS = 30  # magnitudes are multiples of 1 / 30
_JITTERED = 0.4
_ERASED_AREA, _ERASED_RATIO, _ERASED = (0.02, 0.4), (0.3, 1 / 0.3), 0.5

Images = Float[Tensor, "rows channels height width"]
Bytes = UInt8[Tensor, "rows channels height width"]


@dataclass(frozen=True, slots=True)
class Ranges:
    """What each operation does at magnitude 1; at magnitude 0 it does nothing.

    Attributes:
        blend: how far the factor of brightness, color, contrast and sharpness is from 1.
        bits: that posterize takes from 8.
        degrees: of rotate.
        shear: of shear_x and shear_y, in pixels per pixel.
        shift: returns the pixels of translate_x and translate_y, of a side's pixels.
    """

    blend: float
    bits: int
    degrees: float
    shear: float
    shift: Callable[[int], float]


RAND = Ranges(blend=0.9, bits=4, degrees=30, shear=0.3, shift=lambda side: 150 / 331 * side)
WIDE = Ranges(blend=0.99, bits=6, degrees=135, shear=0.99, shift=lambda side: 32)

OPERATIONS = (
    "identity",
    "autocontrast",
    "equalize",
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


def operate(
    images: Bytes,
    which: Int[Tensor, " rows"],
    magnitude: Float[Tensor, " rows"],
    sign: Float[Tensor, " rows"],
    ranges: Ranges,
) -> Bytes:
    """Return each image after one operation.

    Args:
        images: any size.
        which: places in OPERATIONS.
        magnitude: in [0, 1].
        sign: 1 or -1, for the operations that have two directions.
        ranges: what a magnitude means.
    """

    def chosen(name: str) -> Tensor:
        return (which == OPERATIONS.index(name))[:, None, None, None]

    values, (strength, signed) = images.float(), (each[:, None, None, None] for each in (magnitude, sign * magnitude))
    grey = _grey(values)
    other = torch.zeros_like(values)  # of brightness
    other = torch.where(chosen("color"), grey, other)
    other = torch.where(chosen("contrast"), grey.mean((2, 3), keepdim=True), other)
    other = torch.where(chosen("sharpness"), _smooth(values), other)
    result = torch.where(chosen("identity"), values, other + (1 + signed * ranges.blend) * (values - other))
    result = torch.where(chosen("autocontrast"), _stretched(values), result)
    result = torch.where(chosen("equalize"), _equalized(images), result)
    step = 2 ** (strength * ranges.bits).round()
    result = torch.where(chosen("posterize"), values - torch.remainder(values, step), result)
    solarized = torch.where(values >= 255 * (1 - strength), 255 - values, values)
    result = torch.where(chosen("solarize"), solarized, result)
    is_warp = (which >= _FIRST_WARP)[:, None, None, None]
    result = torch.where(is_warp, _warped(values, which, sign * magnitude, ranges), result)
    return result.round().clamp(0, 255).to(torch.uint8)


def rand_augment(magnitude: float, *, stream: int) -> ViewOf:
    """Return two operations of equal magnitude in [0, 1], one after the other.

    Args:
        magnitude: of both.
        stream: of random numbers; the next one is used too.
    """

    def apply(images: Tensor, words: Tensor) -> Tensor:
        strength = torch.full((len(images),), magnitude, device=images.device)
        for pair in words.split(2, dim=1):
            images = operate(images, _one_of(pair[:, 0]), strength, _sign(pair[:, 1]), RAND)
        return images

    return ViewOf(partial(_words, first=stream, count=2), apply)


def _words(seed: int, epoch: int, index: Tensor, *, first: int, count: int) -> Tensor:
    return torch.cat([random_bits(seed, epoch, index, stream=first + number) for number in range(count)], dim=1)


def _trivial(images: Tensor, words: Tensor) -> Tensor:
    magnitude = ((words[:, 2] * (_BINS + 1)) >> 32).float() / _BINS
    return operate(images, _one_of(words[:, 0]), magnitude, _sign(words[:, 1]), WIDE)


def _jitter(images: Tensor, words: Tensor) -> Tensor:
    """Change brightness, contrast and saturation, one after the other, each by a factor in [0.6, 1.4]."""
    factors = (1 + _JITTERED * (2 * _uniform(words) - 1))[:, :, None, None, None]
    values = images.float()
    values = (factors[:, 0] * values).clamp(0, 255)
    for number in (1, 2):
        grey = _grey(values)
        other = grey.mean((2, 3), keepdim=True) if number == 1 else grey
        values = (other + factors[:, number] * (values - other)).clamp(0, 255)
    return values.round().to(torch.uint8)


def _erase(images: Tensor, words: Tensor) -> Tensor:
    """Fill a rectangle of half of the images with one random colour each."""
    channels, height, width = images.shape[1:]
    numbers = _uniform(words)
    area = (_ERASED_AREA[0] + (_ERASED_AREA[1] - _ERASED_AREA[0]) * numbers[:, 1]) * height * width
    low, high = (math.log(ratio) for ratio in _ERASED_RATIO)
    ratio = torch.exp(low + (high - low) * numbers[:, 2])
    down = torch.sqrt(area * ratio).round().clamp(1, height)[:, None]
    across = torch.sqrt(area / ratio).round().clamp(1, width)[:, None]
    top, left = (numbers[:, 3:4] * (height - down + 1)).floor(), (numbers[:, 4:5] * (width - across + 1)).floor()
    row, column = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    is_row, is_column = (row >= top) & (row < top + down), (column >= left) & (column < left + across)
    inside = is_row[:, None, :, None] & is_column[:, None, None, :] & (numbers[:, 0] < _ERASED)[:, None, None, None]
    colour = (numbers[:, 5:] * 256).floor().to(torch.uint8).repeat(1, -(-channels // 3))[:, :channels, None, None]
    return torch.where(inside, colour, images)


def _one_of(words: Tensor) -> Int[Tensor, " rows"]:
    return (words * len(OPERATIONS)) >> 32


def _sign(words: Tensor) -> Float[Tensor, " rows"]:
    return 1 - 2 * (words & 1).float()


def _uniform(words: Tensor) -> Float[Tensor, "rows words"]:
    """Return words as numbers in [0, 1), exact in float32."""
    return (words >> 8).float() / 2**24


def _grey(values: Images) -> Float[Tensor, "rows 1 height width"]:
    if values.shape[1] != len(_LUMA):
        return values.mean(1, keepdim=True)
    return (values * constant(_LUMA, values.device)[:, None, None]).sum(1, keepdim=True)


def _smooth(values: Images) -> Images:
    """Return images smoothed by Pillow's SMOOTH filter, which leaves the border as it is."""
    if min(values.shape[2:]) < 3:
        return values
    inner = (9 * functional.avg_pool2d(values, 3, stride=1) + 4 * values[..., 1:-1, 1:-1]) / 13
    smooth = values.clone()
    smooth[..., 1:-1, 1:-1] = inner
    return smooth


def _stretched(values: Images) -> Images:
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    return torch.where(high > low, (values - low) * 255 / (high - low).clamp_min(1), values)


def _equalized(images: Bytes) -> Images:
    """Return images whose values are spread as evenly as their histogram allows, channel by channel."""
    flat = images.flatten(2).long()
    rows, channels, _ = flat.shape
    first = 256 * torch.arange(rows * channels, device=flat.device).view(rows, channels, 1)
    bins = (flat + first).flatten()  # in one dimension CUDA adds deterministically
    counts = (
        bins.new_zeros(256 * rows * channels).scatter_add_(0, bins, torch.ones_like(bins)).view(rows, channels, 256)
    )
    last = counts.gather(2, flat.amax(2, keepdim=True))
    step = (flat.shape[2] - last) // 255
    below = counts.cumsum(2) - counts
    table = (below + step // 2) // step.clamp_min(1)
    return torch.where(step > 0, table.gather(2, flat).clamp_max(255), flat).float().view(images.shape)


def _warped(values: Images, which: Tensor, signed: Tensor, ranges: Ranges) -> Images:
    """Return each image read at an affine map of each pixel's place, that of its operation; outside is black."""
    height, width = values.shape[2:]
    one, zero = torch.ones_like(signed), torch.zeros_like(signed)
    angle, shear, tall = signed * math.radians(ranges.degrees), signed * ranges.shear, height / width
    right, down = (signed * 2 * ranges.shift(side) / side for side in (width, height))  # a whole side is 2
    maps = (
        (angle.cos(), -angle.sin() * tall, zero, angle.sin() / tall, angle.cos(), zero),
        (one, shear * tall, shear * tall, zero, one, zero),  # the corner stays in its place
        (one, zero, zero, shear / tall, one, shear / tall),
        (one, zero, right, zero, one, zero),
        (one, zero, zero, zero, one, down),
    )
    stacked = torch.stack([torch.stack(entries, dim=1) for entries in maps], dim=1)
    place = (which - _FIRST_WARP).clamp_min(0)[:, None, None].expand(-1, 1, 6)
    grid = functional.affine_grid(stacked.gather(1, place).view(-1, 2, 3), list(values.shape), align_corners=False)
    return functional.grid_sample(values, grid, mode="nearest", align_corners=False)


AUGMENTATIONS: dict[str, ViewOf] = {
    "trivial_augment": ViewOf(partial(_words, first=_TRIVIAL, count=2), _trivial),
    "rand_augment": rand_augment(9 / _BINS, stream=_RAND),
    "color_jitter": ViewOf(partial(_words, first=_JITTER, count=2), _jitter),
    "random_erasing": ViewOf(partial(_words, first=_ERASING, count=4), _erase),
}
"""Augmentation that comes after crops and flips."""
