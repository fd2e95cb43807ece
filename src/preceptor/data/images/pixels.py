"""An image file as uint8 [channels, height, width], the layout of images everywhere in this library."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from torch import Tensor

from preceptor.data.images.crops import pixels_of
from preceptor.data.images.decoding import decode

__all__ = ["read_image"]

_MODES = {1: "L", 3: "RGB"}


def read_image(file: Path, *, channels: int = 3, size: tuple[int, int] | None = None) -> Tensor:
    """Return an image as uint8 [channels, height, width].

    Args:
        file: of any format that Pillow reads, with 8 bits a channel.
        channels: 1, grey, or 3, colours.
        size: height and width; another image is scaled (bilinear) so that it just covers it, and cropped to the centre.

    Raises:
        UsageError: when it cannot be read, or has more than 8 bits a channel.
    """
    image = decode(file, str(file), where="").convert(_MODES[channels])
    if size is not None and image.size != size[::-1]:
        image = _cover(image, *size)
    return pixels_of(image)


def _cover(image: Image.Image, height: int, width: int) -> Image.Image:
    scale = max(height / image.height, width / image.width)
    wide, high = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    scaled = image.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = (wide - width) // 2, (high - height) // 2
    return scaled.crop((left, top, left + width, top + height))
