"""Decoding of images from any file format: three channels of 8 bits, or an error that names the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image, UnidentifiedImageError

from preceptor.errors import UsageError

__all__ = [
    "ENDS",
    "FEW",
    "LEAVE_OUT",
    "UNREADABLE",
    "UnreadableError",
    "decode",
    "in_colours",
    "is_complete",
    "unreadable_images_error",
]

LEAVE_OUT = "; data.skip_unreadable=true leaves such out"
FEW = 3  # unreadable images that a message names
ENDS = 32  # bytes from each end of a file by which `is_complete` judges
_WHERE = "data.path: "
# what Pillow raises for a file that is no image, or a truncated one
UNREADABLE = (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError)


class UnreadableError(UsageError):
    """A file that is no image, or a damaged one."""


def unreadable_images_error(errors: Sequence[UnreadableError]) -> UsageError:
    """Return one error, one line long, for one or more unreadable images."""
    if len(errors) == 1:
        return errors[0]
    lines = [str(error).removesuffix(LEAVE_OUT) for error in errors]
    return UsageError(f"{'; '.join([lines[0], *(line.removeprefix(_WHERE) for line in lines[1:])])}{LEAVE_OUT}")


def is_complete(first: bytes, last: bytes, length: int) -> bool:
    """Return whether a file is certainly not truncated, judged by its ends; False for formats other than PNG, JPEG, GIF, WebP.

    Args:
        first: its first bytes.
        last: its last bytes.
        length: of the file.
    """
    if first.startswith(b"\x89PNG"):
        return b"IEND" in last
    if first.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in last
    if first.startswith(b"GIF8"):
        return last.endswith(b";")
    return first.startswith(b"RIFF") and length >= 8 + int.from_bytes(first[4:8], "little")


def decode(file: Any, name: str, *, where: str = "data.path: ", advice: str = "") -> Image.Image:
    """Return an image in mode RGB.

    Args:
        file: a path, or an open file.
        name: of the image, in messages.
        where: how messages begin.
        advice: how messages end where it cannot be decoded.

    Raises:
        UnreadableError: when it cannot be decoded.
        UsageError: when it has more than 8 bits a channel.
    """
    try:
        with Image.open(file) as opened:
            return in_colours(opened, name, where=where)
    except UsageError:
        raise
    except UNREADABLE as error:
        raise UnreadableError(f"{where}{name}: no readable image ({' '.join(str(error).split())}){advice}") from error


def in_colours(image: Image.Image, name: str, *, where: str = "data.path: ") -> Image.Image:
    """Return an image of any mode in mode RGB.

    Raises:
        UsageError: when it has more than 8 bits a channel.
    """
    if image.mode.startswith(("I", "F")):
        raise UsageError(f"{where}{name}: has more than 8 bits a channel ({image.mode}); convert it to 8")
    return image.convert("RGB")
