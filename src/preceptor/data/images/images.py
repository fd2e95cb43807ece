"""What all sources of images share: how images come to one size, and the source that their splits make."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.images.decoding import FEW, UnreadableError, unreadable_images_error
from preceptor.data.images.lazy import RESIZED_CROP, LazyImages
from preceptor.data.images.preprocessing import prepared
from preceptor.data.split import Arrays, Split
from preceptor.errors import UsageError
from preceptor.messages import first_few
from preceptor.types import Preprocessing

__all__ = ["PHOTOGRAPHS", "Cut", "image_source", "image_split", "left_out_note", "readable", "turned_note"]

PHOTOGRAPHS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's mean and std, which published weights expect
_AT_ONCE = 1024  # images that wait to be decoded
_LOOKED_AT = 10_000  # images of a split whose EXIF orientation is looked at


@dataclass(frozen=True, slots=True)
class Cut:
    """How images come to one size.

    Attributes:
        size: side in pixels of what the networks see; None: the images', which all have the same size.
        centre: share of the shorter side that evaluation sees.
        in_memory: whether all images are decoded once, into memory; None: only if `size` is None.

    Raises:
        UsageError: for a size below 1, a share that is not in (0, 1], or lazy images without a size.
    """

    size: int | None
    centre: float
    in_memory: bool | None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise UsageError(f"data.size: {self.size} is not at least 1")
        if not 0 < self.centre <= 1:
            raise UsageError(f"data.centre: {self.centre} is not in (0, 1]")
        if self.in_memory is False and self.size is None:
            raise UsageError("data.in_memory: false needs data.size, the side in pixels of what the networks see")

    @property
    def is_eager(self) -> bool:
        """Whether all images are decoded once, into memory."""
        return self.size is None if self.in_memory is None else self.in_memory

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image comes to one size."""
        if self.size is None:
            return Preprocessing(channels=3)
        return Preprocessing(channels=3, size=(self.size, self.size), centre=self.centre)


def image_split(
    decode: Callable[[int], Image.Image],
    labels: Tensor,
    cut: Cut,
    *,
    name_of: Callable[[int], str],
    is_complete: Callable[[int], bool],
    identity: Callable[[Tensor], bytes] | None = None,
    blocks: Tensor | None = None,
) -> Split:
    """Return images with labels: in memory, or decoded on demand.

    Args:
        decode: returns one image by its number, in mode RGB.
        labels: int64 classes.
        cut: how images come to one size.
        name_of: returns the name of an image in messages.
        is_complete: see `LazyImages`.
        identity: see `LazyImages`.
        blocks: see `LazyImages`.

    Raises:
        UsageError: when images differ in size and `cut` has none (the message names two), or when images that belong in memory
            cannot be decoded (it names the first).
    """
    if not cut.is_eager:
        return LazyImages(
            decode,
            labels,
            preprocessing=cut.preprocessing,
            is_complete=is_complete,
            identity=identity,
            blocks=blocks,
        )
    images: list[Tensor] = []
    bad: list[UnreadableError] = []
    for number in range(len(labels)):
        try:
            image = decode(number)
        except UnreadableError as error:
            bad.append(error)
            if len(bad) == FEW:
                break
            continue
        pixels = prepared(image, cut.preprocessing)
        if images and pixels.shape != images[0].shape:
            raise UsageError(
                f"data.path: {name_of(number)} is {pixels.shape[2]}x{pixels.shape[1]}, {name_of(0)} is "
                f"{images[0].shape[2]}x{images[0].shape[1]}; set data.size"
            )
        images.append(pixels)
    if bad:
        raise unreadable_images_error(bad)
    return Arrays(torch.stack(images), labels)


def readable(
    decode: Callable[[int], Image.Image], count: int, *, name_of: Callable[[int], str]
) -> tuple[Int[Tensor, " kept"], list[str]]:
    """Return the numbers of the images that can be decoded, in order, and the names of the others; each is decoded once.

    Args:
        decode: returns one image by its number.
        count: of the images.
        name_of: returns the name of an image.

    Raises:
        UsageError: when none can be decoded.
    """

    def is_readable(number: int) -> bool:
        try:
            decode(number)
        except UnreadableError:
            return False
        return True

    flags: list[bool] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, count, _AT_ONCE):
            flags += pool.map(is_readable, range(start, min(start + _AT_ONCE, count)))
    is_kept = torch.tensor(flags, dtype=torch.bool)
    left_out = [name_of(number) for number in torch.nonzero(~is_kept).flatten().tolist()]
    if len(left_out) == count > 0:
        raise UsageError(f"data.path: none of {count:,} images can be read: {first_few(left_out, FEW)}")
    return torch.nonzero(is_kept).flatten(), left_out


def left_out_note(kind: str, place: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a note on the unreadable images of a place that are left out, if there are any."""
    images = "image" if len(names) == 1 else "images"
    note = f"{kind}: left out of {place}: {len(names):,} unreadable {images}: {first_few(names, FEW)}"
    return (note,) if names else ()


def turned_note(kind: str, place: str, is_turned: Callable[[int], bool], count: int) -> tuple[str, ...]:
    """Return a note on the images of a place that are turned upright as their EXIF says, if there are any.

    Args:
        kind: of source.
        place: where they lie.
        is_turned: whether an image is turned, by its number.
        count: of the images; of more than 10,000, as many are looked at, evenly spaced.
    """
    numbers = range(0, count, -(-count // _LOOKED_AT) or 1)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        turned = sum(pool.map(is_turned, numbers))
    some = f"{len(numbers):,} images" if len(numbers) == count else f"{len(numbers):,} images looked at, of {count:,},"
    note = f"{kind}: {place}: {turned:,} of {some} are turned upright, as their EXIF orientation says"
    return (note,) if turned else ()


def image_source(
    kind: str,
    path: str,
    class_names: tuple[str, ...],
    splits: tuple[Split, Split, Split | None],
    notes: tuple[str, ...],
    *,
    cut: Cut,
    test_name: str = "test",
    is_cut: bool = False,
) -> Source:
    """Return the source that images make.

    Args:
        kind: of source.
        path: of the images.
        class_names: one per class.
        splits: train, test and validation, if there is one.
        notes: what the user should hear about.
        cut: how the images came to one size.
        test_name: what the data call the test split.
        is_cut: see `Source`.

    Raises:
        UsageError: when images in memory differ in shape between the splits.
    """
    train, test, validation = splits
    source = Source(
        name=f"{kind}:{path}",
        train=train,
        test=test,
        validation=validation,
        class_names=class_names,
        preprocessing=replace(cut.preprocessing, mean=PHOTOGRAPHS[0], std=PHOTOGRAPHS[1]),
        view=RESIZED_CROP,
        protocol="photographs",
        normalised_by="ImageNet's mean and std",
        notes=(*notes, f"{kind}: images are decoded as they are needed"),
        test_name=test_name,
        is_cut=is_cut,
    )
    if not isinstance(train, Arrays):
        return source
    shapes = {tuple(split.values.shape[1:]) for split in splits if isinstance(split, Arrays)}
    if len(shapes) > 1:
        raise UsageError(f"data.path: {path}: splits differ in image shape: {sorted(shapes)}; set data.size")
    pixels = train.values.float() / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp_min(1e-3)
    return replace(
        source,
        preprocessing=replace(cut.preprocessing, mean=tuple(mean.tolist()), std=tuple(std.tolist())),
        view="crop_flip",
        protocol="default",
        normalised_by=f"the training images' own mean {_round(mean)} and std {_round(std)}",
        notes=notes,
    )


def _round(values: Tensor) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in values.tolist()) + ")"
