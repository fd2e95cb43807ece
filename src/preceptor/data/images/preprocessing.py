"""Images as networks see them, the same wherever one is read: for a run's test split, in evaluation, in prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from preceptor.data.images.crops import centre_crop, pixels_of
from preceptor.data.images.decoding import decode, is_turned
from preceptor.types import Preprocessing

__all__ = ["ImageRead", "prepared", "read_image"]

_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True, slots=True)
class ImageRead:
    """An image as it was read from a file.

    Attributes:
        pixels: as a network sees them, before normalisation.
        resized_from: height and width of the upright image, where the network sees another size.
        was_turned: whether it was turned as its EXIF orientation says.
    """

    pixels: UInt8[Tensor, "channels height width"]
    resized_from: tuple[int, int] | None
    was_turned: bool


def prepared(image: Image.Image, preprocessing: Preprocessing) -> UInt8[Tensor, "channels height width"]:
    """Return the pixels of a decoded image as a network sees them, before normalisation."""
    if preprocessing.channels is not None and image.mode != _MODES[preprocessing.channels]:
        image = image.convert(_MODES[preprocessing.channels])
    if preprocessing.size is not None:
        image = centre_crop(image, preprocessing.size, preprocessing.centre, preprocessing.interpolation)
    return pixels_of(image)


def read_image(file: Path, preprocessing: Preprocessing) -> ImageRead:
    """Return an image file as a network sees it.

    Args:
        file: of any format that Pillow reads, with 8 bits a channel.
        preprocessing: of the network.

    Raises:
        UsageError: when it cannot be read, or has more than 8 bits a channel.
    """
    image = decode(file, str(file), where="")
    size = (image.height, image.width)
    is_resized = preprocessing.size not in {None, size}
    return ImageRead(prepared(image, preprocessing), size if is_resized else None, is_turned(file))
