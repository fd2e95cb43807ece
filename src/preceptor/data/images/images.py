"""What all sources of images share: how they are cut to size, and the data set that their parts make."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from preceptor.data.dataset import Normalisation, Source, held_out
from preceptor.data.images.crops import centre_crop, pixels_of
from preceptor.data.images.decoding import FEW, UnreadableError, together
from preceptor.data.images.lazy import RESIZED_CROP, LazyImages
from preceptor.data.split import Arrays, Split
from preceptor.errors import UsageError

__all__ = ["PHOTOGRAPHS", "Cut", "image_source", "image_split", "left_out_note", "readable", "split_off_test"]

PHOTOGRAPHS = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # ImageNet's, which published weights expect
_TEST_SHARE = 0.2
_AT_ONCE = 1024  # images that wait to be decoded


@dataclass(frozen=True, slots=True)
class Cut:
    """How images come to one size.

    Attributes:
        size: side in pixels of what the networks see; None: the images', which are all of one size.
        centre: share of the shorter side that evaluation sees.
        held: whether all are decoded once and held in memory; None: where no size is given.

    Raises:
        UsageError: for a size below 1, a share that is not in (0, 1], or images that are neither cut nor held.
    """

    size: int | None
    centre: float
    held: bool | None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise UsageError(f"data.size: {self.size} is not at least 1")
        if not 0 < self.centre <= 1:
            raise UsageError(f"data.centre: {self.centre} is not in (0, 1]")
        if self.held is False and self.size is None:
            raise UsageError("data.held: false needs data.size, the side in pixels of what the networks see")

    @property
    def is_in_memory(self) -> bool:
        """Whether images are held in memory."""
        return self.size is None if self.held is None else self.held


def image_split(
    read: Callable[[int], Image.Image],
    labels: Tensor,
    cut: Cut,
    *,
    name_of: Callable[[int], str],
    is_complete: Callable[[int], bool],
    described: NDArray[Any] | None = None,
    blocks: Tensor | None = None,
) -> Split:
    """Return images with labels: in memory, or read when they are asked for.

    Args:
        read: gives one by its number, in mode RGB.
        labels: int64 classes.
        cut: how they come to one size.
        name_of: what one is called in messages.
        is_complete: see `LazyImages`.
        described: see `LazyImages`.
        blocks: see `LazyImages`.

    Raises:
        UsageError: when images without a size to be cut to differ in theirs, two are named; when some of those that are held
            cannot be decoded, the first are named.
    """
    if not cut.is_in_memory:
        assert cut.size is not None
        return LazyImages(
            read, labels, size=cut.size, centre=cut.centre, is_complete=is_complete, described=described, blocks=blocks
        )
    images: list[Tensor] = []
    bad: list[UnreadableError] = []
    for number in range(len(labels)):
        try:
            whole = read(number)
        except UnreadableError as error:
            bad.append(error)
            if len(bad) == FEW:
                break
            continue
        image = pixels_of(whole if cut.size is None else centre_crop(whole, cut.size, cut.centre))
        if images and image.shape != images[0].shape:
            raise UsageError(
                f"data.path: {name_of(number)} is {image.shape[2]}x{image.shape[1]}, {name_of(0)} is "
                f"{images[0].shape[2]}x{images[0].shape[1]}; set data.size"
            )
        images.append(image)
    if bad:
        raise together(bad)
    return Arrays(torch.stack(images), labels)


def readable(
    read: Callable[[int], Image.Image], count: int, *, name_of: Callable[[int], str]
) -> tuple[Int[Tensor, " kept"], list[str]]:
    """Return the numbers of the images that can be decoded, in order, and the names of the others; each is decoded once.

    Args:
        read: gives one by its number.
        count: of the images.
        name_of: what one is called.

    Raises:
        UsageError: when none can be decoded.
    """

    def is_readable(number: int) -> bool:
        try:
            read(number)
        except UnreadableError:
            return False
        return True

    found: list[bool] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, count, _AT_ONCE):
            found += pool.map(is_readable, range(start, min(start + _AT_ONCE, count)))
    is_kept = torch.tensor(found, dtype=torch.bool)
    left_out = [name_of(number) for number in torch.nonzero(~is_kept).flatten().tolist()]
    if len(left_out) == count > 0:
        raise UsageError(f"data.path: none of {count:,} images can be read: {_first(left_out)}")
    return torch.nonzero(is_kept).flatten(), left_out


def left_out_note(kind: str, place: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a note on the unreadable images of a place that are left out, where there are any."""
    images = "image" if len(names) == 1 else "images"
    return (f"{kind}: left out of {place}: {len(names):,} unreadable {images}: {_first(names)}",) if names else ()


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + ", ..." * (len(names) > FEW)


def image_source(
    kind: str,
    path: str,
    class_names: tuple[str, ...],
    parts: tuple[Split, Split, Split | None],
    notes: tuple[str, ...],
    *,
    test_name: str = "test",
    is_cut: bool = False,
) -> Source:
    """Return the data set that images make.

    Args:
        kind: of source.
        path: where they lie.
        class_names: one a class.
        parts: train, test and perhaps validation.
        notes: what the user should hear about.
        test_name: what the data call the test part.
        is_cut: see `Source`.

    Raises:
        UsageError: when images of the parts, held in memory, differ in shape.
    """
    train, test, validation = parts
    source = Source(
        name=f"{kind}:{path}",
        train=train,
        test=test,
        validation=validation,
        class_names=class_names,
        normalisation=PHOTOGRAPHS,
        view=RESIZED_CROP,
        protocol="photographs",
        notes=(*notes, f"{kind}: images are decoded as they are needed; normalised by ImageNet's mean and std"),
        test_name=test_name,
        is_cut=is_cut,
    )
    if not isinstance(train, Arrays):
        return source
    held = [part for part in parts if isinstance(part, Arrays)]
    shapes = {tuple(part.values.shape[1:]) for part in held}
    if len(shapes) > 1:
        raise UsageError(f"data.path: {path}: parts differ in image shape: {sorted(shapes)}; set data.size")
    pixels = train.values.float() / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp_min(1e-3)
    return replace(
        source,
        normalisation=Normalisation(tuple(mean.tolist()), tuple(std.tolist())),
        view="crop_flip",
        protocol="default",
        notes=(*notes, f"{kind}: normalised by the training images' own mean {_round(mean)} and std {_round(std)}"),
    )


def split_off_test(whole: Split) -> tuple[Split, Split]:
    """Return the training and the test part of samples that come in one, the test part stratified."""
    rows = held_out(whole.labels, round(_TEST_SHARE * len(whole)), 0, stream=9)
    is_test = torch.zeros(len(whole), dtype=torch.bool)
    is_test[rows] = True
    return whole.take(torch.nonzero(~is_test).flatten()), whole.take(rows)


def _round(values: Tensor) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in values.tolist()) + ")"
