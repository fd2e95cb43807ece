from __future__ import annotations

import pytest
import torch
from PIL import Image

from preceptor.data import Arrays
from preceptor.data.images.decoding import UnreadableError
from preceptor.data.images.images import Cut, image_split, left_out_note, readable
from preceptor.data.images.lazy import LazyImages
from preceptor.errors import UsageError


def decode(number: int) -> Image.Image:
    """Image 3 is unreadable; the others are 8 x 6."""
    if number == 3:
        raise UnreadableError("data.path: 3: no readable image")
    return Image.new("RGB", (8, 6), (number, 0, 0))


@pytest.mark.parametrize(
    ("size", "in_memory", "is_eager"), [(None, None, True), (4, None, False), (4, True, True), (4, False, False)]
)
def test_images_are_in_memory_when_asked_or_without_a_size(
    size: int | None, in_memory: bool | None, is_eager: bool
) -> None:
    cut = Cut(size, 0.5, in_memory)
    assert cut.is_eager is is_eager
    split = image_split(decode, torch.arange(3), cut, name_of=str, is_complete=lambda number: True)
    assert isinstance(split, Arrays if is_eager else LazyImages)
    assert split.inputs(torch.tensor([2])).shape == ((1, 3, 6, 8) if size is None else (1, 3, 4, 4))


def test_unreadable_images_stop_what_is_in_memory_or_are_left_out() -> None:
    with pytest.raises(UsageError, match="3: no readable image"):
        image_split(decode, torch.arange(5), Cut(4, 0.5, True), name_of=str, is_complete=lambda number: True)
    kept, left_out = readable(decode, 5, name_of=str)
    assert (kept.tolist(), left_out) == ([0, 1, 2, 4], ["3"])
    assert left_out_note("folder", "here", left_out) == ("folder: left out of here: 1 unreadable image: 3",)
    assert left_out_note("folder", "here", []) == ()
