"""Augmentation as a pure function of (seed, epoch, sample index), for a whole batch at once, on any device.

Source of the random numbers: Threefry-2x32 with 20 rounds, a counter-based generator without state (Salmon, Moraes, Dror,
Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011). The same key gives the same view in any batch, on any
worker, after any resume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor
from torch.nn import functional

from preceptor.constants import constant
from preceptor.data.images.crops import ATTEMPTS, random_boxes, resized_crops

__all__ = [
    "ORDER",
    "VIEWS",
    "VIEW_STREAM",
    "ViewOf",
    "box_draws",
    "crop_by",
    "crop_flip",
    "flip",
    "flip_by",
    "random_bits",
    "random_resized_crop_flip",
    "unchanged",
    "view_words",
]

VIEW_STREAM = 0
ORDER = 1  # the stream that shuffles an epoch
_BOXES = 200  # streams of random crops; each attempt uses two
_MASK = 0xFFFFFFFF
_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


@dataclass(frozen=True, slots=True)
class ViewOf:
    """A view: random numbers of its samples, keyed by (seed, epoch, index), and what they make of the images.

    The numbers of many samples are drawn at once, those of a whole epoch for example; images are augmented batch by batch.

    Attributes:
        draw: (seed, epoch, index [rows]) -> numbers [rows, ...].
        apply: (images [rows, ...], numbers) -> augmented images.
    """

    draw: Callable[[int, int, Tensor], Tensor]
    apply: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, images: Tensor, seed: int, epoch: int, index: Tensor) -> Tensor:
        """Return the images of these samples in this view."""
        return self.apply(images, self.draw(seed, epoch, index))


def random_bits(seed: int, epoch: int, index: Int[Tensor, " rows"], *, stream: int) -> Int[Tensor, "rows 2"]:
    """Return two uniform 32-bit numbers per sample, Threefry2x32(key=(seed, epoch), counter=(index, stream)).

    Args:
        seed: of the run, below 2^32.
        epoch: counted from 1.
        index: rows of the samples.
        stream: what the numbers are for, so that different uses do not share them.

    Returns:
        int64 in [0, 2^32).

    Examples:
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


def view_words(seed: int, epoch: int, index: Int[Tensor, " rows"]) -> Int[Tensor, "rows 2"]:
    """Return the two random words per sample from which a view is made; the lowest bit of the first says: mirrored."""
    return random_bits(seed, epoch, index, stream=VIEW_STREAM)


def flip_by(
    images: UInt8[Tensor, "rows channels height width"], words: Int[Tensor, "rows words"]
) -> UInt8[Tensor, "rows channels height width"]:
    """Return each image mirrored left to right where its first word is odd."""
    return torch.where((words[:, 0] & 1).bool()[:, None, None, None], images.flip(-1), images)


def crop_by(
    images: UInt8[Tensor, "rows channels height width"], words: Int[Tensor, "rows 2"], *, mirrors: bool = False
) -> UInt8[Tensor, "rows channels height width"]:
    """Return each image padded by 4 zero pixels and cropped back at the place given by two random words.

    Args:
        images: any size.
        words: 32 bits each.
        mirrors: whether images whose first word is odd are mirrored before.
    """
    rows, channels, height, width = images.shape
    top, left = (_below(place & (_MASK >> 1), 2 * _PADDING + 1) for place in (words[:, 1], words[:, 0] >> 1))
    across = torch.arange(width, device=images.device).expand(rows, width)
    if mirrors:
        across = torch.where((words[:, :1] & 1).bool(), across.flip(-1), across)
    across = across + left[:, None]
    down = torch.arange(height, device=images.device) + top[:, None]
    padded = functional.pad(images, (_PADDING,) * 4)
    batch = torch.arange(rows, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[batch, channel, down[:, None, :, None], across[:, None, None, :]]


def boxes_and_words(seed: int, epoch: int, index: Int[Tensor, " rows"]) -> Float[Tensor, "rows numbers"]:
    """Return the numbers of random crops that are mirrored with probability 1/2: those of `box_draws`, then the view's words."""
    words = view_words(seed, epoch, index).double()
    return torch.cat([box_draws(seed, epoch, index).flatten(1), words], dim=1)


def box_draws(seed: int, epoch: int, index: Int[Tensor, " rows"]) -> Float[Tensor, "rows attempts 4"]:
    """Return the uniform numbers in [0, 1) from which `random_boxes` makes a crop of each sample, float64."""
    words = [random_bits(seed, epoch, index, stream=_BOXES + number) for number in range(2 * ATTEMPTS)]
    return torch.stack(words, dim=1).reshape(len(index), ATTEMPTS, 4).double() / 2**32


def _resize_boxes(
    images: UInt8[Tensor, "rows channels height width"], numbers: Float[Tensor, "rows numbers"]
) -> UInt8[Tensor, "rows channels height width"]:
    rows, _, height, width = images.shape
    sizes = constant((height, width), images.device, torch.long).expand(rows, 2)
    boxes = random_boxes(numbers[:, : 4 * ATTEMPTS].reshape(rows, ATTEMPTS, 4), sizes)
    return flip_by(resized_crops(images, boxes, (height, width)), numbers[:, 4 * ATTEMPTS :].long())


def _no_numbers(seed: int, epoch: int, index: Int[Tensor, " rows"]) -> Int[Tensor, "rows 0"]:
    return index.new_zeros(len(index), 0)


def _as_they_are(images: Shaped[Tensor, "rows ..."], numbers: Tensor) -> Shaped[Tensor, "rows ..."]:
    return images


def _below(words: Tensor, bound: int) -> Tensor:
    """Return 31-bit words scaled to 0..bound-1 (multiply and shift; the bias is under bound / 2^31)."""
    return (words * bound) >> 31


_PADDING = 4

unchanged = ViewOf(_no_numbers, _as_they_are)
"""The inputs as they are."""

flip = ViewOf(view_words, flip_by)
"""Each image mirrored left to right with probability 1/2."""

crop_flip = ViewOf(view_words, partial(crop_by, mirrors=True))
"""Each image mirrored with probability 1/2, padded by 4 zero pixels and cropped back at a uniform place.

Source: the CIFAR protocol (crop and flip before normalisation, so that the padding is black).
"""

random_resized_crop_flip = ViewOf(boxes_and_words, _resize_boxes)
"""A random crop of each image scaled to the image's size, mirrored with probability 1/2.

Source: see `crops`. A split of images of different sizes makes this view itself, from the uncropped images.
"""

VIEWS: dict[str, ViewOf] = {
    "none": unchanged,
    "flip": flip,
    "crop_flip": crop_flip,
    "random_resized_crop_flip": random_resized_crop_flip,
}
