"""A split of images of any size, decoded when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import get_worker_info

from preceptor.data.augment.views import box_draws, is_mirrored
from preceptor.data.images.crops import centre_crop, pixels_of, random_box, resized_crop
from preceptor.data.images.decoding import FEW, UnreadableError, together
from preceptor.data.split import Split
from preceptor.types import View

__all__ = ["RESIZED_CROP", "LazyImages"]

RESIZED_CROP = "random_resized_crop_flip"
_AT_ONCE = 256  # images that one thread checks


class LazyImages(Split):
    """Images of any size, decoded when they are asked for; how they are seen brings them to one size.

    Its rows are square parts from the centre; of the view `random_resized_crop_flip` it shows each image's part of the whole,
    which a batch of rows could no longer give.

    Args:
        read: gives one image by its number, in mode RGB or L, all in the same.
        labels: int64 classes.
        size: side of what is seen, in pixels.
        centre: share of the shorter side that is seen from the centre.
        is_complete: whether one is surely not cut off, which is seen without decoding it; None: of none it is.
        numbers: of the images that belong here; all by default.
        described: a name of each number, by which images are told apart in the fingerprint.
        blocks: which part of the storage each image lies in; parts are read one after another.
    """

    makes = frozenset({RESIZED_CROP})

    def __init__(
        self,
        read: Callable[[int], Image.Image],
        labels: Int[Tensor, " samples"],
        *,
        size: int,
        centre: float,
        is_complete: Callable[[int], bool] | None = None,
        numbers: Int[Tensor, " samples"] | None = None,
        described: NDArray[Any] | None = None,
        blocks: Int[Tensor, " samples"] | None = None,
    ) -> None:
        self._read = read
        self.labels = labels
        self.truth = None
        self._size = size
        self._centre = centre
        self._is_whole = is_complete
        self._numbers = torch.arange(len(labels)) if numbers is None else numbers
        self._described = described
        self.blocks = blocks

    def inputs(self, index: Int[Tensor, " rows"]) -> UInt8[Tensor, "rows channels height width"]:
        """Read these rows as evaluation sees them."""
        return _stacked(lambda row: pixels_of(centre_crop(self._image(row), self._size, self._centre)), index)

    def seen(self, index: Int[Tensor, " rows"], view: View) -> UInt8[Tensor, "rows channels height width"]:
        """Read these rows; of the view that is made here, each image's part of the whole."""
        if view.name not in self.makes:
            return self.inputs(index)
        numbers = box_draws(view.seed, view.epoch, index).tolist()
        mirrored = is_mirrored(view.seed, view.epoch, index).tolist()
        place_of = {row: place for place, row in enumerate(index.tolist())}

        def shown(row: int) -> Tensor:
            whole, place = pixels_of(self._image(row)), place_of[row]
            box = random_box(numbers[place], whole.shape[1], whole.shape[2])
            part = resized_crop(whole, box, (self._size, self._size))
            return part.flip(-1) if mirrored[place] else part

        return _stacked(shown, index)

    def take(self, index: Int[Tensor, " rows"]) -> LazyImages:
        """Return the part that these rows make."""
        return LazyImages(
            self._read,
            self.labels[index],
            size=self._size,
            centre=self._centre,
            is_complete=self._is_whole,
            numbers=self._numbers[index],
            described=self._described,
            blocks=None if self.blocks is None else self.blocks[index],
        )

    def described(self) -> bytes:
        """Return what distinguishes these images from others."""
        return b"" if self._described is None else b"\n".join(self._described[self._numbers.numpy()].tolist())

    def check(self) -> None:
        """Decode every image that may be cut off, going by the ends of its file.

        Raises:
            UsageError: when some cannot be decoded; the first are named.
        """
        bad: list[UnreadableError] = []
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            for found in pool.map(self._unreadable, self._numbers.split(_AT_ONCE)):
                bad += found
        if bad:
            raise together(bad[:FEW])

    def _unreadable(self, numbers: Tensor) -> list[UnreadableError]:
        bad = []
        for number in numbers.tolist():
            if self._is_whole is None or not self._is_whole(number):
                try:
                    self._read(number)
                except UnreadableError as error:
                    bad.append(error)
        return bad

    def _image(self, row: int) -> Image.Image:
        return self._read(int(self._numbers[row]))


def _stacked(make: Callable[[int], Tensor], index: Tensor) -> Tensor:
    """Return what is made of each row; several at once, except in one of several processes that read."""
    rows = index.tolist()
    if len(rows) == 1 or get_worker_info() is not None:
        return torch.stack([make(row) for row in rows])
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return torch.stack(list(pool.map(make, rows)))
