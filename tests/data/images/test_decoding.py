from __future__ import annotations

import io

import pytest
from PIL import Image

from preceptor.data.images.decoding import (
    ENDS,
    LEAVE_OUT,
    UnreadableError,
    decode,
    is_complete,
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
