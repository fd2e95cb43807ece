"""Image files as networks see them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from preceptor.data import read_image
from preceptor.data.images.preprocessing import prepared
from preceptor.errors import UsageError
from preceptor.types import Preprocessing


def test_pixels_come_as_they_are_in_the_file(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png", Preprocessing(channels=3, size=(2, 3)))
    assert torch.equal(read.pixels, torch.from_numpy(pixels).permute(2, 0, 1))
    assert read.resized_from is None
    assert not read.was_turned
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    grey = read_image(tmp_path / "grey.png", Preprocessing(channels=1)).pixels
    assert torch.equal(grey[0], torch.from_numpy(pixels[..., 0].copy()))


@pytest.mark.parametrize(("size", "left"), [((8, 8), [80]), ((4, 4), [80]), ((8, 16), [0, 80, 255])])
def test_another_image_covers_the_size_and_is_cropped_to_its_centre(
    size: tuple[int, int], left: list[int], tmp_path: Path
) -> None:
    row = np.repeat(np.array([0, 80, 80, 255], dtype=np.uint8), 4)
    Image.fromarray(np.tile(row, (8, 1))).save(tmp_path / "bands.png")  # 8 high, 16 wide: dark, middle, middle, light
    read = read_image(tmp_path / "bands.png", Preprocessing(channels=1, size=size))
    assert read.pixels.shape == (1, *size)
    assert read.resized_from == (None if size == (8, 16) else (8, 16))
    inner = read.pixels[:, :, 1:-1] if size == (4, 4) else read.pixels  # bilinear weights reach one pixel over
    assert inner.unique().tolist() == left


def test_only_the_centre_is_seen_where_that_is_a_share() -> None:
    ring = np.full((40, 60), 200, dtype=np.uint8)
    ring[10:30, 20:40] = 50  # half of the shorter side
    image = Image.fromarray(ring)
    seen = prepared(image, Preprocessing(channels=1, size=(10, 10), centre=0.5))
    assert seen[0, 1:-1, 1:-1].unique().tolist() == [50]
    assert prepared(image, Preprocessing(channels=1, size=(10, 10))).unique().numel() > 1
    assert prepared(image, Preprocessing(channels=3, size=(10, 10), centre=0.5)).shape == (3, 10, 10)


@pytest.mark.parametrize(
    ("name", "message"), [("none.png", "no readable image"), ("deep.png", r"more than 8 bits a channel \(I;16\)")]
)
def test_what_is_no_image(name: str, message: str, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UsageError, match=message):
        read_image(tmp_path / name, Preprocessing(channels=3))
