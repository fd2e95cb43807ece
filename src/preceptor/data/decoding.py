"""Images decoded, whatever file they lie in: three channels of 8 bits, or an error that names them."""

from __future__ import annotations

from typing import Any

from PIL import Image, UnidentifiedImageError

from preceptor.errors import UsageError

__all__ = ["LEAVE_OUT", "UNREADABLE", "UnreadableError", "decode", "in_colours"]

LEAVE_OUT = "; data.skip_unreadable=true leaves such out"
# what Pillow raises on what is no image, or half of one
UNREADABLE = (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError)


class UnreadableError(UsageError):
    """A file that is no image, or a damaged one."""


def decode(file: Any, name: str, *, where: str = "data.path: ", advice: str = "") -> Image.Image:
    """Return an image in mode RGB.

    Args:
        file: a path, or an open file.
        name: what it is called in messages.
        where: what they begin with.
        advice: what could be done where it cannot be decoded.

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
