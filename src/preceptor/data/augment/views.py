"""Augmentation as a pure function of (seed, epoch, sample index), for a whole batch at once, on any device.

Source of the random numbers: Threefry-2x32 with 20 rounds, a counter-based generator without state (Salmon, Moraes, Dror,
Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011). The same key gives the same view in any batch, on any
worker, after any resume.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor
from torch.nn import functional

from preceptor.data.images.crops import ATTEMPTS, random_box, resized_crop

__all__ = [
    "ORDER",
    "VIEWS",
    "VIEW_STREAM",
    "ViewOf",
    "box_draws",
    "crop",
    "crop_flip",
    "flip",
    "is_mirrored",
    "random_bits",
    "random_resized_crop_flip",
    "unchanged",
]

VIEW_STREAM = 0
ORDER = 1  # the stream that shuffles an epoch
_BOXES = 200  # streams of random crops; each attempt uses two
_MASK = 0xFFFFFFFF
_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))

ViewOf = Callable[[Tensor, int, int, Tensor], Tensor]  # (images, seed, epoch, index) -> images


def random_bits(seed: int, epoch: int, index: Int[Tensor, " rows"], *, stream: int) -> Int[Tensor, "rows 2"]:
    """Return two uniform 32-bit numbers per sample, Threefry2x32(key=(seed, epoch), counter=(index, stream)).

    Args:
        seed: of the run, below 2^32.
        epoch: counted from 1.
        index: rows of the samples.
        stream: what the numbers are for, so that different uses do not share them.

    Returns:
        int64 in [0, 2^32).

    Example:
        >>> [hex(word) for word in random_bits(0, 0, torch.tensor([0]), stream=0)[0].tolist()]
        ['0x6b200159', '0x99ba4efe']
    """
    keys = (seed & _MASK, epoch & _MASK, (_PARITY ^ seed ^ epoch) & _MASK)
    left = (index + keys[0]) & _MASK
    right = torch.full_like(index, (stream + keys[1]) & _MASK)
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            left = (left + right) & _MASK
            right = (((right << rotation) | (right >> (32 - rotation))) & _MASK) ^ left
        left = (left + keys[(group + 1) % 3]) & _MASK
        right = (right + keys[(group + 2) % 3] + group + 1) & _MASK
    return torch.stack([left, right], dim=1)


def unchanged(
    images: Shaped[Tensor, "rows ..."], seed: int, epoch: int, index: Int[Tensor, " rows"]
) -> Shaped[Tensor, "rows ..."]:
    """Return the inputs as they are."""
    return images


def flip(
    images: UInt8[Tensor, "rows channels height width"], seed: int, epoch: int, index: Int[Tensor, " rows"]
) -> UInt8[Tensor, "rows channels height width"]:
    """Return each image mirrored left to right with probability 1/2."""
    return torch.where(is_mirrored(seed, epoch, index)[:, None, None, None], images.flip(-1), images)


def is_mirrored(seed: int, epoch: int, index: Int[Tensor, " rows"]) -> Bool[Tensor, " rows"]:
    """Return which samples a mirroring view mirrors: each with probability 1/2."""
    return (random_bits(seed, epoch, index, stream=VIEW_STREAM)[:, 0] & 1).bool()


def random_resized_crop_flip(
    images: UInt8[Tensor, "rows channels height width"], seed: int, epoch: int, index: Int[Tensor, " rows"]
) -> UInt8[Tensor, "rows channels height width"]:
    """Return a random crop of each image scaled to the image's size, mirrored with probability 1/2.

    Source: see `crops`. A split of images of different sizes makes this view itself, from the uncropped images.
    """
    height, width = images.shape[2:]
    boxes = [random_box(numbers, height, width) for numbers in box_draws(seed, epoch, index).tolist()]
    crops = [resized_crop(image, box, (height, width)) for image, box in zip(images, boxes, strict=True)]
    return flip(torch.stack(crops), seed, epoch, index)


def box_draws(seed: int, epoch: int, index: Int[Tensor, " rows"]) -> Float[Tensor, "rows attempts 4"]:
    """Return the uniform numbers in [0, 1) from which `random_box` makes a crop of each sample, float64."""
    words = [random_bits(seed, epoch, index, stream=_BOXES + number) for number in range(2 * ATTEMPTS)]
    return torch.stack(words, dim=1).reshape(len(index), ATTEMPTS, 4).double() / 2**32


def crop_flip(
    images: UInt8[Tensor, "rows channels height width"], seed: int, epoch: int, index: Int[Tensor, " rows"]
) -> UInt8[Tensor, "rows channels height width"]:
    """Return each image padded by 4 zero pixels, cropped back at a uniform place and mirrored with probability 1/2.

    Source: the CIFAR protocol (crop and flip before normalisation, so that the padding is black).
    """
    words = random_bits(seed, epoch, index, stream=VIEW_STREAM)
    return _crop(images, words, (words[:, 0] & 1).bool())


def crop(
    images: UInt8[Tensor, "rows channels height width"], words: Int[Tensor, "rows 2"]
) -> UInt8[Tensor, "rows channels height width"]:
    """Return each image padded by 4 zero pixels and cropped back at the place given by two random words."""
    return _crop(images, words, torch.zeros_like(words[:, 0], dtype=torch.bool))


def _crop(images: Tensor, words: Tensor, is_flipped: Tensor) -> Tensor:
    rows, channels, height, width = images.shape
    places = words[:, 1], words[:, 0] >> 1
    top, left = (_below(place & (_MASK >> 1), 2 * _PADDING + 1) for place in places)
    across = torch.arange(width, device=images.device).expand(rows, width)
    across = torch.where(is_flipped[:, None], width - 1 - across, across) + left[:, None]
    down = torch.arange(height, device=images.device) + top[:, None]
    padded = functional.pad(images, (_PADDING,) * 4)
    batch = torch.arange(rows, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[batch, channel, down[:, None, :, None], across[:, None, None, :]]


def _below(words: Tensor, bound: int) -> Tensor:
    """Return 31-bit words scaled to 0..bound-1 (multiply and shift; the bias is under bound / 2^31)."""
    return (words * bound) >> 31


_PADDING = 4

VIEWS: dict[str, ViewOf] = {
    "none": unchanged,
    "flip": flip,
    "crop_flip": crop_flip,
    "random_resized_crop_flip": random_resized_crop_flip,
}
