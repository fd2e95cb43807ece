"""Image files, as they are everywhere in this library: uint8 [channels, height, width]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from preceptor.errors import UsageError

__all__ = ["image_files", "read_image"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
_MODES = {1: "L", 3: "RGB"}


def image_files(folder: Path) -> list[Path]:
    """Return the image files in a folder and below it, by their suffix, sorted."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES)


def read_image(file: Path, *, channels: int = 3, size: tuple[int, int] | None = None) -> Tensor:
    """Return an image as uint8 [channels, height, width].

    Args:
        file: of any format that Pillow reads, with 8 bits a channel.
        channels: 1, grey, or 3, colours.
        size: height and width; another image is scaled (bilinear) so that it just covers it, and cropped to the centre.

    Raises:
        UsageError: when it cannot be read, or has more than 8 bits a channel.
    """
    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(("I", "F")):
                raise UsageError(f"{file}: has more than 8 bits a channel ({opened.mode}); convert it to 8")
            image = opened.convert(_MODES[channels])
    except UsageError:
        raise
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{file}: no readable image ({' '.join(str(error).split())})") from error
    if size is not None and image.size != size[::-1]:
        image = _cover(image, *size)
    pixels = torch.from_numpy(np.asarray(image).copy())
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1)


def _cover(image: Image.Image, height: int, width: int) -> Image.Image:
    scale = max(height / image.height, width / image.width)
    wide, high = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    scaled = image.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = (wide - width) // 2, (high - height) // 2
    return scaled.crop((left, top, left + width, top + height))
