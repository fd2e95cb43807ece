"""Extra views of a sample beside the one that is trained on: rotations and strong augmentation, keyed like all views.

Source: rotations: Xu, Liu, Li, Loy (ECCV 2020): mirrored once, turned, then cropped once more; strong: RandAugment with 2
operations at magnitude 10 of 30, as Jin, Wang, Lin (CVPR 2023) use it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from preceptor.data.augment.composition import base_of, composed
from preceptor.data.augment.operations import rand_augment
from preceptor.data.augment.views import VIEWS, ViewOf, crop_by, flip_by, random_bits, view_words

__all__ = ["EXTRA_VIEWS", "extra_view"]

_TURNED, _STRONG, _OPERATED = 100, 110, 120  # streams of random numbers; rotations use one each
_MAGNITUDE = 10 / 30


def extra_view(name: str, view: str) -> ViewOf:
    """Return the view with this name beside a view: it crops and mirrors only if that does.

    Raises:
        KeyError: for a name that is not in EXTRA_VIEWS.
    """
    return _VIEWS[name](base_of(view))


def _strong(base: str) -> ViewOf:
    plain = VIEWS[base]

    def draw(seed: int, epoch: int, index: Tensor) -> Tensor:
        return plain.draw(seed ^ _STRONG, epoch, index)  # a crop and a mirroring of its own

    return composed([ViewOf(draw, plain.apply), rand_augment(_MAGNITUDE, stream=_OPERATED)])


def _rotated(turns: int, base: str) -> ViewOf:
    def draw(seed: int, epoch: int, index: Tensor) -> Tensor:
        own = random_bits(seed, epoch, index, stream=_TURNED + turns)
        return torch.cat([view_words(seed, epoch, index), own], dim=1)

    def apply(images: Tensor, numbers: Tensor) -> Tensor:
        images = flip_by(images, numbers[:, :2]) if "flip" in base else images
        turned = torch.rot90(images, turns, dims=(2, 3))
        return crop_by(turned, numbers[:, 2:]) if "crop" in base else turned

    return ViewOf(draw, apply)


_VIEWS: dict[str, Callable[[str], ViewOf]] = {
    "strong": _strong,
    "rotated_90": partial(_rotated, 1),
    "rotated_180": partial(_rotated, 2),
    "rotated_270": partial(_rotated, 3),
}
EXTRA_VIEWS = tuple(_VIEWS)
