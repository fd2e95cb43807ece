"""Crops of images, scaled to one size: random ones for training, the centre for evaluation.

Source: the random crop is that of GoogLeNet (Szegedy et al., CVPR 2015) as adopted for ImageNet training: 8 to 100 % of the
area at aspect ratios 3/4 to 4/3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

__all__ = [
    "ATTEMPTS",
    "centre_crop",
    "pixels_of",
    "random_boxes",
    "resized_crop",
    "resized_crops",
    "scaled_by_products",
]

ATTEMPTS = 10  # random crops that are tried before the centre is taken
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)


def random_boxes(
    numbers: Float[Tensor, "images attempts 4"], sizes: Int[Tensor, "images 2"]
) -> Int[Tensor, "images 4"]:
    """Return the first crop, of those that uniform numbers describe, that fits into its image; else the largest centred one.

    Args:
        numbers: in [0, 1), float64: for each attempt area, logarithm of the aspect ratio, place from the top, from the left.
        sizes: height and width of each image.

    Returns:
        top, left, height, width of each crop.

    Examples:
        >>> random_boxes(torch.tensor([[[1.0, 0.5, 0.0, 0.0]]]).double(), torch.tensor([[100, 100]])).tolist()
        [[0, 0, 100, 100]]
    """
    low, high = (math.log(ratio) for ratio in _RATIO)
    height, width = sizes[:, :1], sizes[:, 1:]
    area_at, ratio_at, top_at, left_at = numbers.unbind(2)
    area = (_AREA[0] + (_AREA[1] - _AREA[0]) * area_at) * height * width
    ratio = torch.exp(low + (high - low) * ratio_at)
    across, down = torch.sqrt(area * ratio).round().long(), torch.sqrt(area / ratio).round().long()
    top, left = (top_at * (height - down + 1)).long(), (left_at * (width - across + 1)).long()
    fits = (across > 0) & (across <= width) & (down > 0) & (down <= height)
    across_all = torch.minimum(width, (height * _RATIO[1]).round().long())
    down_all = torch.minimum(height, (width / _RATIO[0]).round().long())
    centred = torch.cat([(height - down_all) // 2, (width - across_all) // 2, down_all, across_all], dim=1)
    first = fits.int().argmax(1)[:, None]  # of equal largest ones, the first
    chosen = torch.cat([tried.gather(1, first) for tried in (top, left, down, across)], dim=1)
    return torch.where(fits.any(1, keepdim=True), chosen, centred)


def resized_crop(
    image: UInt8[Tensor, "channels height width"], box: Sequence[int], size: tuple[int, int]
) -> UInt8[Tensor, "channels rows columns"]:
    """Return a crop (top, left, height, width) of an image scaled to a size, bilinear with antialiasing, rounded."""
    top, left, height, width = box
    crop = image[None, :, top : top + height, left : left + width].float()
    scaled = functional.interpolate(crop, size, mode="bilinear", antialias=True, align_corners=False)
    return scaled[0].round().clamp(0, 255).to(torch.uint8)


def resized_crops(
    images: UInt8[Tensor, "images channels height width"], boxes: Int[Tensor, "images 4"], size: tuple[int, int]
) -> UInt8[Tensor, "images channels rows columns"]:
    """Return a crop of each image scaled to a size, as `resized_crop` does.

    On a device other than the CPU, where each operation costs a launch and reading a box costs a wait, all are scaled at once, by
    a matrix product along each axis; sums in another order may differ by one step of 255.
    """
    if boxes.device.type == "cpu":
        return torch.stack([resized_crop(image, box, size) for image, box in zip(images, boxes.tolist(), strict=True)])
    return scaled_by_products(images, boxes, size)


def scaled_by_products(
    images: UInt8[Tensor, "images channels height width"], boxes: Int[Tensor, "images 4"], size: tuple[int, int]
) -> UInt8[Tensor, "images channels rows columns"]:
    """Return crops scaled by two matrix products."""
    down = _scaling(boxes[:, 0], boxes[:, 2], images.shape[2], size[0])
    across = _scaling(boxes[:, 1], boxes[:, 3], images.shape[3], size[1])
    scaled = down[:, None] @ images.float() @ across[:, None].mT
    return scaled.round().clamp(0, 255).to(torch.uint8)


def _scaling(first: Tensor, extent: Tensor, pixels: int, size: int) -> Float[Tensor, "images size pixels"]:
    """Return the weight of each pixel of a line in each pixel of its scaled crop: a triangle, widened where it shrinks."""
    scale = (extent / size)[:, None, None]
    centre = scale * (torch.arange(size, device=first.device)[:, None] + 0.5)
    place = torch.arange(pixels, device=first.device) - first[:, None, None] + 0.5
    weights = (1 - (place - centre).abs() / scale.clamp_min(1)).clamp_min(0)
    inside = (place > 0) & (place < extent[:, None, None])
    weights = torch.where(inside, weights, 0.0)
    return weights / weights.sum(2, keepdim=True)


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
