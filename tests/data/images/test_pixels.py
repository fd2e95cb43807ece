"""Image files as uint8 tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from preceptor.data import read_image
from preceptor.errors import UsageError


def test_pixels_come_as_they_are_in_the_file(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), torch.from_numpy(pixels).permute(2, 0, 1))
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    assert torch.equal(read_image(tmp_path / "grey.png", channels=1)[0], torch.from_numpy(pixels[..., 0].copy()))


@pytest.mark.parametrize(("size", "left"), [((8, 8), [80]), ((4, 4), [80]), ((8, 16), [0, 80, 255])])
def test_another_image_covers_the_size_and_is_cropped_to_its_centre(
    size: tuple[int, int], left: list[int], tmp_path: Path
) -> None:
    row = np.repeat(np.array([0, 80, 80, 255], dtype=np.uint8), 4)
    Image.fromarray(np.tile(row, (8, 1))).save(tmp_path / "bands.png")  # 8 high, 16 wide: dark, middle, middle, light
    cropped = read_image(tmp_path / "bands.png", channels=1, size=size)
    assert cropped.shape == (1, *size)
    inner = cropped[:, :, 1:-1] if size == (4, 4) else cropped  # bilinear weights reach one pixel over
    assert inner.unique().tolist() == left


@pytest.mark.parametrize(
    ("name", "message"), [("none.png", "no readable image"), ("deep.png", r"more than 8 bits a channel \(I;16\)")]
)
def test_what_is_no_image(name: str, message: str, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UsageError, match=message):
        read_image(tmp_path / name)
