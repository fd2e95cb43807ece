from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from preceptor.data.samples import stacked
from preceptor.errors import UsageError

NAMES = ["item 0", "item 1"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            Image.fromarray(np.full((4, 4), 3000, np.uint16)),
            r"item 0 is an image with more than 8 bits a channel \(I;16\)",
        ),
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), r"more than 8 bits a channel \(F\)"),
        (Image.fromarray(np.full((4, 4), 3000, np.int32)), r"more than 8 bits a channel \(I\)"),
        (
            np.full((3, 4, 4), 3000, np.uint16),
            r"item 0 is of type torch\.uint16, not of 8 bits; return uint8, or floats",
        ),
        (torch.full((3, 4, 4), 3000), r"item 0 is of type torch\.int64"),
    ],
)
def test_images_of_more_than_8_bits_are_refused(value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stacked([value], NAMES[:1])


def test_images_of_8_bits_keep_their_values() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert stacked([Image.fromarray(pixels)], NAMES[:1])[0].permute(1, 2, 0).tolist() == pixels.tolist()


def test_token_numbers_stay_whole() -> None:
    assert stacked([torch.tensor([1, 70_000])], NAMES[:1]).tolist() == [[1, 70_000]]


def test_samples_of_several_shapes_or_types_are_named() -> None:
    with pytest.raises(UsageError, match=r"item 1 has shape \(3,\), item 0 has \(2,\)"):
        stacked([torch.zeros(2), torch.zeros(3)], NAMES)
    with pytest.raises(UsageError, match=r"item 1 is of type torch\.uint8, item 0 of torch\.float32"):
        stacked([torch.zeros(2), torch.zeros(2, dtype=torch.uint8)], NAMES)
