"""How a network itself takes images, without the adapter that stands before it here: what other libraries must be told."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from preceptor.models import Adapted, ModelMetadata

__all__ = ["NativeImages", "native_images"]


@dataclass(frozen=True, slots=True)
class NativeImages:
    """How a network takes images.

    Attributes:
        channels: of its input.
        size: height and width of its input.
        mean: subtracted from each channel, of pixels in [0, 1] where the samples are 8-bit images.
        std: each channel is then divided by it.
        centre: share of the image, along the side that limits it, that the crop covers.
        are_pixels: whether samples are 8-bit images; otherwise they are numbers, and no image file becomes one.
    """

    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    centre: float
    are_pixels: bool

    @property
    def scaled_size(self) -> tuple[int, int]:
        """Height and width that an image is scaled to cover before it is cropped to `size`."""
        height, width = self.size
        return round(height / self.centre), round(width / self.centre)


def native_images(network: nn.Module, metadata: ModelMetadata) -> NativeImages | None:
    """Return how a network takes images; None: its samples are none.

    Where an adapter resizes the samples here, the size is the network's own: another library scales a file straight to it.

    Args:
        network: with its weights, in its adapter if it has one.
        metadata: of the network.
    """
    if len(metadata.input_shape) != 3:
        return None
    preprocessing = metadata.preprocessing
    channels, height, width = metadata.input_shape
    size, mean, std = (height, width), preprocessing.mean or (0.0,), preprocessing.std or (1.0,)
    if isinstance(network, Adapted):
        own = network.input_spec
        channels, size = own.channels or channels, own.size or size
        mean, std = (own.mean, own.std) if own.mean else (mean, std)
    mean, std = (values * channels if len(values) == 1 else values for values in (mean, std))
    return NativeImages(channels, size, mean, std, preprocessing.centre, metadata.reads_images)
