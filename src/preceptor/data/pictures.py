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

from preceptor.data.crops import centre_crop, pixels_of, random_box, resized_crop
from preceptor.data.split import Split
from preceptor.data.views import box_draws, is_mirrored
from preceptor.types import View

__all__ = ["RESIZED_CROP", "Pictures"]

RESIZED_CROP = "random_resized_crop_flip"


class Pictures(Split):
    """Images of any size, decoded when they are asked for; how they are seen brings them to one size.

    Its rows are square parts from the centre; of the view `random_resized_crop_flip` it shows each image's part of the whole,
    which a batch of rows could no longer give.

    Args:
        read: gives one image by its number, in mode RGB or L, all in the same.
        labels: int64 classes.
        size: side of what is seen, in pixels.
        centre: share of the shorter side that is seen from the centre.
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
        numbers: Int[Tensor, " samples"] | None = None,
        described: NDArray[Any] | None = None,
        blocks: Int[Tensor, " samples"] | None = None,
    ) -> None:
        self._read = read
        self.labels = labels
        self.truth = None
        self._size = size
        self._centre = centre
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

    def take(self, index: Int[Tensor, " rows"]) -> Pictures:
        """Return the part that these rows make."""
        return Pictures(
            self._read,
            self.labels[index],
            size=self._size,
            centre=self._centre,
            numbers=self._numbers[index],
            described=self._described,
            blocks=None if self.blocks is None else self.blocks[index],
        )

    def described(self) -> bytes:
        """Return what distinguishes these images from others."""
        return b"" if self._described is None else b"\n".join(self._described[self._numbers.numpy()].tolist())

    def _image(self, row: int) -> Image.Image:
        return self._read(int(self._numbers[row]))


def _stacked(make: Callable[[int], Tensor], index: Tensor) -> Tensor:
    """Return what is made of each row; several at once, except in one of several processes that read."""
    rows = index.tolist()
    if len(rows) == 1 or get_worker_info() is not None:
        return torch.stack([make(row) for row in rows])
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return torch.stack(list(pool.map(make, rows)))
