from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from orientations import TURNED
from preceptor.data.images.decoding import (
    ENDS,
    LEAVE_OUT,
    UnreadableError,
    decode,
    is_complete,
    is_turned,
    unreadable_images_error,
)
from preceptor.errors import UsageError


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_truncated_file_is_told_by_its_ends(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), (200, 30, 90)).save(buffer, kind)
    content = buffer.getvalue()
    assert is_complete(content[:ENDS], content[-ENDS:], len(content))
    half = content[: len(content) // 2]
    assert not is_complete(half[:ENDS], half[-ENDS:], len(half))


def test_several_unreadable_images_are_named_in_one_line() -> None:
    errors = [UnreadableError(f"data.path: {name}: no readable image{LEAVE_OUT}") for name in "ab"]
    assert unreadable_images_error(errors[:1]) is errors[0]
    expected = f"data.path: a: no readable image; b: no readable image{LEAVE_OUT}"
    assert str(unreadable_images_error(errors)) == expected


def test_what_cannot_be_decoded_is_named() -> None:
    with pytest.raises(UnreadableError, match=r"^data\.path: x: no readable image .*; drop it$"):
        decode(io.BytesIO(b"no image"), "x", advice="; drop it")
    buffer = io.BytesIO()
    Image.new("I;16", (2, 2)).save(buffer, "PNG")
    with pytest.raises(UsageError, match="x: has more than 8 bits a channel"):
        decode(buffer, "x")


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_image_is_turned_upright(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :16], upright[8:, :16], upright[:8, 16:] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.ascontiguousarray(TURNED[orientation](upright))).save(buffer, kind, exif=exif, quality=95)
    buffer.seek(0)
    assert is_turned(buffer) is (orientation != 1)
    decoded = np.asarray(decode(buffer, "x")).astype(int)
    assert decoded.shape == upright.shape
    assert np.abs(decoded[4::8, 4::8] - upright[4::8, 4::8]).max() < 30


def test_damaged_exif_leaves_an_image_as_it_is() -> None:
    for exif in (b"Exif\x00\x00nonsense", b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x09"):
        buffer = io.BytesIO()
        Image.new("RGB", (4, 2), (9, 9, 9)).save(buffer, "JPEG", exif=exif)
        assert decode(buffer, "x").size == (4, 2)
        assert not is_turned(buffer)
    assert not is_turned(io.BytesIO(b"no image"))
