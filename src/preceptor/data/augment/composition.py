"""Views by name: one of VIEWS, then augmentations, joined by "+": `crop_flip+trivial_augment+random_erasing`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache

import torch
from torch import Tensor

from preceptor.data.augment.operations import AUGMENTATIONS
from preceptor.data.augment.views import VIEWS, ViewOf
from preceptor.errors import UsageError
from preceptor.messages import did_you_mean

__all__ = ["base_of", "check_view_name", "composed", "described", "view_of"]

_JOIN = "+"
_IN_WORDS = {
    "none": "samples as they are",
    "flip": "mirrors images",
    "crop_flip": "shifts and mirrors images",
    "random_resized_crop_flip": "crops, scales and mirrors images",
    "trivial_augment": "TrivialAugment",
    "rand_augment": "RandAugment",
    "color_jitter": "color jitter",
    "random_erasing": "random erasing",
}


def check_view_name(name: str) -> None:
    """Check the name of a view.

    Raises:
        UsageError: for a name that is unknown, that occurs twice, or of a crop or flip that does not come first.
    """
    parts = name.split(_JOIN)
    known = (*VIEWS, *AUGMENTATIONS)
    for number, part in enumerate(parts):
        if part not in known:
            raise UsageError(f"data.view: unknown name {part!r}{did_you_mean(part, known, most=1)}")
        if part in parts[:number]:
            raise UsageError(f"data.view: {name}: {part} is there twice")
        if number and part in VIEWS:
            raise UsageError(f"data.view: {name}: {part} comes first or not at all")


def base_of(name: str) -> str:
    """Return the crop or flip that a view begins with, or none."""
    first = name.split(_JOIN, maxsplit=1)[0]
    return first if first in VIEWS else "none"


def described(name: str) -> str:
    """Return a view in words."""
    return ", ".join(_IN_WORDS[part] for part in name.split(_JOIN))


@cache
def view_of(name: str, made: Collection[str] = frozenset()) -> ViewOf:
    """Return the view of this name, without the crop or flip if the split makes it while reading.

    Args:
        name: one that `check_view_name` accepts.
        made: `Split.makes`.
    """
    return composed([VIEWS.get(part) or AUGMENTATIONS[part] for part in name.split(_JOIN) if part not in made])


def composed(views: Sequence[ViewOf]) -> ViewOf:
    """Return views one after the other as one."""
    if len(views) == 1:
        return views[0]
    none = torch.empty(0, dtype=torch.int64)
    examples = [view.draw(0, 0, none) for view in views]

    def draw(seed: int, epoch: int, index: Tensor) -> Tensor:
        # words of 32 bits are exact in float64
        numbers = [view.draw(seed, epoch, index).double() for view in views]
        return torch.cat([index.new_zeros(len(index), 0).double(), *numbers], dim=1)

    def apply(images: Tensor, numbers: Tensor) -> Tensor:
        pieces = numbers.split([each.shape[1] for each in examples], dim=1) if views else ()
        for view, piece, example in zip(views, pieces, examples, strict=True):
            images = view.apply(images, piece.to(example.dtype))
        return images

    return ViewOf(draw, apply)
