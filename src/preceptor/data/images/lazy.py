"""A split of images of any size, decoded on demand."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import get_worker_info

from preceptor.data.augment.composition import base_of
from preceptor.data.augment.views import box_draws, view_words
from preceptor.data.images.crops import pixels_of, random_boxes, resized_crop
from preceptor.data.images.decoding import FEW, UnreadableError, unreadable_images_error
from preceptor.data.images.preprocessing import prepared
from preceptor.data.split import Split
from preceptor.types import Preprocessing, View

__all__ = ["RESIZED_CROP", "LazyImages"]

RESIZED_CROP = "random_resized_crop_flip"
_AT_ONCE = 256  # images that one thread checks


class LazyImages(Split):
    """Images of any size, decoded on demand and cropped to one size.

    `inputs` are square centre crops. The view `random_resized_crop_flip` is made here, from the uncropped images: a batch of
    centre crops no longer has them.

    Args:
        decode: returns one image by its number, in mode RGB or L, the same for all.
        labels: int64 classes.
        preprocessing: how they come to one size.
        is_complete: whether an image file is certainly not truncated, without decoding it; None: unknown for all.
        numbers: of the images that belong here; all by default.
        identity: returns what tells the images of these numbers from others, for the fingerprint; None: nothing does.
        blocks: the storage block (shard) of each image; blocks are read one after another.
    """

    makes = frozenset({RESIZED_CROP})

    def __init__(
        self,
        decode: Callable[[int], Image.Image],
        labels: Int[Tensor, " samples"],
        *,
        preprocessing: Preprocessing,
        is_complete: Callable[[int], bool] | None = None,
        numbers: Int[Tensor, " samples"] | None = None,
        identity: Callable[[Tensor], bytes] | None = None,
        blocks: Int[Tensor, " samples"] | None = None,
    ) -> None:
        self._decode = decode
        self.labels = labels
        self.truth = None
        self._preprocessing = preprocessing
        self._is_complete = is_complete
        self._numbers = self.numbers = torch.arange(len(labels)) if numbers is None else numbers
        self._identity = identity
        self.blocks = blocks

    def inputs(self, index: Int[Tensor, " rows"]) -> UInt8[Tensor, "rows channels height width"]:
        """Return the centre crops of these rows."""
        return _stacked(lambda row: prepared(self._image(row), self._preprocessing), index)

    def read(self, index: Int[Tensor, " rows"], view: View) -> UInt8[Tensor, "rows channels height width"]:
        """Return these rows: random crops for the view that is made here, centre crops for any other."""
        if base_of(view.name) not in self.makes:
            return self.inputs(index)
        size = self._preprocessing.size
        assert size is not None
        numbers = box_draws(view.seed, view.epoch, index)
        mirrored = (view_words(view.seed, view.epoch, index)[:, 0] & 1).tolist()
        place_of = {row: place for place, row in enumerate(index.tolist())}

        def augmented(row: int) -> Tensor:
            image, place = pixels_of(self._image(row)), place_of[row]
            (box,) = random_boxes(numbers[place : place + 1], torch.tensor([image.shape[1:]])).tolist()
            crop = resized_crop(image, box, size)
            return crop.flip(-1) if mirrored[place] else crop

        return _stacked(augmented, index)

    def take(self, index: Int[Tensor, " rows"]) -> LazyImages:
        """Return the split of these rows."""
        return LazyImages(
            self._decode,
            self.labels[index],
            preprocessing=self._preprocessing,
            is_complete=self._is_complete,
            numbers=self._numbers[index],
            identity=self._identity,
            blocks=None if self.blocks is None else self.blocks[index],
        )

    def identity_bytes(self) -> bytes:
        """Return what tells these images from others."""
        return b"" if self._identity is None else self._identity(self._numbers)

    def check(self) -> None:
        """Decode every image that may be truncated, judged by the ends of its file.

        Raises:
            UsageError: when some cannot be decoded; the message names the first.
        """
        bad: list[UnreadableError] = []
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            for errors in pool.map(self._unreadable, self._numbers.split(_AT_ONCE)):
                bad += errors
        if bad:
            raise unreadable_images_error(bad[:FEW])

    def _unreadable(self, numbers: Tensor) -> list[UnreadableError]:
        bad = []
        for number in numbers.tolist():
            if self._is_complete is None or not self._is_complete(number):
                try:
                    self._decode(number)
                except UnreadableError as error:
                    bad.append(error)
        return bad

    def _image(self, row: int) -> Image.Image:
        return self._decode(int(self._numbers[row]))


def _stacked(make: Callable[[int], Tensor], index: Tensor) -> Tensor:
    """Return what `make` returns for each row, stacked; with several threads, except in a worker process."""
    rows = index.tolist()
    if len(rows) == 1 or get_worker_info() is not None:
        return torch.stack([make(row) for row in rows])
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return torch.stack(list(pool.map(make, rows)))
