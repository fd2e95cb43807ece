"""Decoding of images from any file format: upright, three channels of 8 bits, or an error that names the image."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, UnidentifiedImageError

from preceptor.errors import UsageError
from preceptor.reading import is_regular

__all__ = [
    "ENDS",
    "FEW",
    "LEAVE_OUT",
    "UNREADABLE",
    "UnreadableError",
    "decode",
    "in_colours",
    "is_complete",
    "is_turned",
    "unreadable_images_error",
    "upright",
]

LEAVE_OUT = "; data.skip_unreadable=true leaves such out"
FEW = 3  # unreadable images that a message names
ENDS = 32  # bytes from each end of a file by which `is_complete` judges
_WHERE = "data.path: "
# what Pillow raises for a file that is no image, or a truncated one
UNREADABLE = (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError)
_BAD_EXIF = (*UNREADABLE, LookupError, TypeError, struct.error)  # what Pillow raises for damaged EXIF
_TURNS = {  # what makes an image upright, by its EXIF orientation; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    """Return an image in mode RGB, upright.

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
        _check_file(file)
        with Image.open(file) as opened:
            return in_colours(opened, name, where=where, advice=advice)
    except UsageError:
        raise
    except UNREADABLE as error:
        raise UnreadableError(f"{where}{name}: no readable image ({' '.join(str(error).split())}){advice}") from error


def in_colours(image: Image.Image, name: str, *, where: str = "data.path: ", advice: str = LEAVE_OUT) -> Image.Image:
    """Return an image of any mode in mode RGB, upright.

    Raises:
        UnreadableError: when it has more pixels than Pillow decodes without a warning; nothing is decoded then.
        UsageError: when it has more than 8 bits a channel.
    """
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and image.width * image.height > most:
        raise UnreadableError(
            f"{where}{name}: has {image.width:,} x {image.height:,} pixels, and at most {most:,} are decoded{advice}"
        )
    if image.mode.startswith(("I", "F")):
        raise UsageError(f"{where}{name}: has more than 8 bits a channel ({image.mode}); convert it to 8")
    return upright(image).convert("RGB")


def _check_file(file: Any) -> None:
    """Check that a path names a file that ends.

    Raises:
        OSError: when it does not.
    """
    if isinstance(file, str | Path) and not is_regular(file) and Path(file).exists():
        raise OSError("it is no regular file")


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF orientation says."""
    image.load()  # turns a TIFF by itself
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _BAD_EXIF:
        return image
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def is_turned(file: Any) -> bool:
    """Return whether `decode` turns an image, without decoding it; False for a file that is no image.

    Args:
        file: a path, or an open file.
    """
    try:
        _check_file(file)
        with Image.open(file) as opened:
            return Image.Image.getexif(opened).get(ExifTags.Base.Orientation) in _TURNS  # PNG's and TIFF's own decode
    except _BAD_EXIF:
        return False
