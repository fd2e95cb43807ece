"""Crops of images, scaled to one size: random ones for training, the centre for evaluation.

Source: the random crop is that of GoogLeNet (Szegedy et al., CVPR 2015) as adopted for ImageNet training: 8 to 100 % of the
area at aspect ratios 3/4 to 4/3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

__all__ = ["ATTEMPTS", "Box", "centre_crop", "pixels_of", "random_box", "resized_crop"]

ATTEMPTS = 10  # random crops that are tried before the centre is taken
Box = tuple[int, int, int, int]  # top, left, height, width
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)


def random_box(numbers: Sequence[Sequence[float]], height: int, width: int) -> Box:
    """Return the first crop, of those that uniform numbers describe, that fits into an image; else the largest centred one.

    Args:
        numbers: in [0, 1): for each attempt area, logarithm of the aspect ratio, place from the top, place from the left.
        height: of the image.
        width: of the image.

    Example:
        >>> random_box([[1.0, 0.5, 0.0, 0.0]], 100, 100), random_box([], 100, 400)
        ((0, 0, 100, 100), (0, 133, 100, 133))
    """
    low, high = (math.log(ratio) for ratio in _RATIO)
    for area_at, ratio_at, top_at, left_at in numbers:
        area = (_AREA[0] + (_AREA[1] - _AREA[0]) * area_at) * height * width
        ratio = math.exp(low + (high - low) * ratio_at)
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            return int(top_at * (height - down + 1)), int(left_at * (width - across + 1)), down, across
    across, down = min(width, round(height * _RATIO[1])), min(height, round(width / _RATIO[0]))
    return (height - down) // 2, (width - across) // 2, down, across


def resized_crop(
    image: UInt8[Tensor, "channels height width"], box: Box, size: tuple[int, int]
) -> UInt8[Tensor, "channels rows columns"]:
    """Return a crop of an image scaled to (height, width), bilinear with antialiasing, rounded."""
    top, left, height, width = box
    crop = image[None, :, top : top + height, left : left + width].float()
    scaled = functional.interpolate(crop, size, mode="bilinear", antialias=True, align_corners=False)
    return scaled[0].round().clamp(0, 255).to(torch.uint8)


def centre_crop(
    image: Image.Image, size: tuple[int, int], centre: float, interpolation: str = "bilinear"
) -> Image.Image:
    """Return the middle of an image, scaled to (height, width): of a square, `centre` of the image's shorter side.

    An image that has this size already is returned as it is.
    """
    if image.size == size[::-1]:
        return image
    height, width = size
    scale = max(round(height / centre) / image.height, round(width / centre) / image.width)
    wide, high = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    scaled = image.resize((wide, high), Image.Resampling[interpolation.upper()])
    left, top = (wide - width) // 2, (high - height) // 2
    return scaled.crop((left, top, left + width, top + height))


def pixels_of(image: Image.Image) -> UInt8[Tensor, "channels height width"]:
    """Return the pixels of an image in mode RGB or L."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
