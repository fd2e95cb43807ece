from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from preceptor.data.augment.operations import AUGMENTATIONS, OPERATIONS, RAND, WIDE, Ranges, operate
from preceptor.data.images.crops import pixels_of


def some_images(rows: int, channels: int = 3, height: int = 20, width: int = 14) -> Tensor:
    """Smooth pictures with some noise, so that histograms have gaps and extremes."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(rows, channels, 3, 3, generator=generator) * 200 + 20
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth + torch.randn(smooth.shape, generator=generator) * 6).round().clamp(0, 255).to(torch.uint8)


def applied(name: str, images: Tensor, magnitude: float, sign: float, ranges: Ranges = RAND) -> Tensor:
    rows = len(images)
    which = torch.full((rows,), OPERATIONS.index(name))
    return operate(images, which, torch.full((rows,), magnitude), torch.full((rows,), sign), ranges)


def enhanced(kind: type[ImageEnhance._Enhance]) -> Callable[[Image.Image, float, Ranges], Image.Image]:
    made: Callable[[Image.Image], ImageEnhance._Enhance] = kind
    return lambda image, signed, ranges: made(image).enhance(1 + signed * ranges.blend)


def mapped(coefficients: Callable[[float, Ranges, int, int], tuple[float, ...]]) -> Callable[..., Image.Image]:
    return lambda image, signed, ranges: image.transform(
        image.size, Image.Transform.AFFINE, coefficients(signed, ranges, *image.size), Image.Resampling.NEAREST
    )


BY_PILLOW: dict[str, Callable[..., Image.Image]] = {
    "identity": lambda image, signed, ranges: image,
    "autocontrast": lambda image, signed, ranges: ImageOps.autocontrast(image),
    "equalize": lambda image, signed, ranges: ImageOps.equalize(image),
    "brightness": enhanced(ImageEnhance.Brightness),
    "color": enhanced(ImageEnhance.Color),
    "contrast": enhanced(ImageEnhance.Contrast),
    "sharpness": enhanced(ImageEnhance.Sharpness),
    "posterize": lambda image, signed, ranges: ImageOps.posterize(image, 8 - round(abs(signed) * ranges.bits)),
    "solarize": lambda image, signed, ranges: ImageOps.solarize(image, math.ceil(255 * (1 - abs(signed)))),
    "rotate": lambda image, signed, ranges: image.rotate(signed * ranges.degrees),
    "shear_x": mapped(lambda signed, ranges, w, h: (1, signed * ranges.shear, 0, 0, 1, 0)),
    "shear_y": mapped(lambda signed, ranges, w, h: (1, 0, 0, signed * ranges.shear, 1, 0)),
    "translate_x": mapped(lambda signed, ranges, w, h: (1, 0, signed * ranges.shift(w), 0, 1, 0)),
    "translate_y": mapped(lambda signed, ranges, w, h: (1, 0, 0, 0, 1, signed * ranges.shift(h))),
}
TONES = OPERATIONS[: OPERATIONS.index("rotate")]


@pytest.mark.parametrize("ranges", [RAND, WIDE], ids=["rand", "wide"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_pillows(name: str, ranges: Ranges) -> None:
    images = some_images(4)
    for magnitude, sign in ((0.3, 1.0), (0.3, -1.0), (0.8, 1.0), (0.8, -1.0)):
        ours = applied(name, images, magnitude, sign, ranges)
        for image, own in zip(images, ours, strict=True):
            picture = Image.fromarray(image.permute(1, 2, 0).numpy())
            theirs = pixels_of(BY_PILLOW[name](picture, sign * magnitude, ranges))
            gap = (own.int() - theirs.int()).abs()
            if name in TONES:  # Pillow cuts fractions off, and rounds the mean of contrast
                assert int(gap.max()) <= 2, (magnitude, sign)
            else:  # a place half-way between two pixels may go to either
                assert float((gap.amax(0) > 0).float().mean()) < 0.04, (magnitude, sign)


@pytest.mark.parametrize("name", [each for each in OPERATIONS if each not in {"autocontrast", "equalize"}])
def test_magnitude_zero_changes_nothing(name: str) -> None:
    images = some_images(3)
    expected = images
    if name == "solarize":  # its threshold is then 255 itself
        expected = torch.where(images == 255, 0, images)
    assert torch.equal(applied(name, images, 0.0, 1.0), expected)


def test_rows_do_not_mix() -> None:
    """Every operation at once, on one batch."""
    images, which = some_images(len(OPERATIONS)), torch.arange(len(OPERATIONS))
    magnitude, sign = torch.linspace(0.1, 1, len(which)), torch.where(which % 2 == 0, 1.0, -1.0)
    together = operate(images, which, magnitude, sign, WIDE)
    for row in range(len(which)):
        one = slice(row, row + 1)
        assert torch.equal(operate(images[one], which[one], magnitude[one], sign[one], WIDE), together[one])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 1, 1), (3, 2, 9), (4, 8, 8), (5, 6, 6)])
@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_images_of_any_shape(name: str, shape: tuple[int, int, int]) -> None:
    images = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(-1, *shape).contiguous()
    shown = AUGMENTATIONS[name](images, 1, 2, torch.arange(40))
    assert shown.shape == images.shape
    assert shown.dtype == torch.uint8


def test_trivial_augment_chooses_uniformly() -> None:
    words = AUGMENTATIONS["trivial_augment"].draw(3, 1, torch.arange(28_000))
    counts = torch.bincount((words[:, 0] * len(OPERATIONS)) >> 32, minlength=14).double()
    assert 3 < float(((counts - 2000) ** 2 / 2000).sum()) < 35  # chi-square, 13 degrees of freedom


def test_erasing_fills_half_of_the_images_with_a_rectangle_of_one_colour() -> None:
    images = torch.full((4000, 3, 24, 32), 7, dtype=torch.uint8)
    shown = AUGMENTATIONS["random_erasing"](images, 5, 1, torch.arange(4000))
    changed = (shown != 7).any(1)
    is_erased = changed.flatten(1).any(1)
    assert 0.47 < float(is_erased.float().mean()) < 0.53
    shares = []
    for image, where in zip(shown[is_erased], changed[is_erased], strict=True):
        rows, columns = np.flatnonzero(where.any(1).numpy()), np.flatnonzero(where.any(0).numpy())
        box = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert torch.equal(box, box[:, :1, :1].expand_as(box))  # a rectangle of one colour
        shares.append(box[0].numel() / where.numel())
    assert min(shares) < 0.04
    assert 0.36 < max(shares) < 0.44
    assert 0.19 < float(np.mean(shares)) < 0.23


def test_jitter_changes_brightness_contrast_and_saturation() -> None:
    grey = torch.full((500, 3, 4, 4), 100, dtype=torch.uint8)
    shown = AUGMENTATIONS["color_jitter"](grey, 5, 1, torch.arange(500)).float()
    assert torch.equal(shown, shown[:, :1, :1, :1].expand_as(shown))  # grey has no contrast and no colour
    assert 60 <= float(shown.min()) < 65
    assert 135 < float(shown.max()) <= 140
    images = some_images(500)
    spread = AUGMENTATIONS["color_jitter"](images, 5, 1, torch.arange(500)).float().std((1, 2, 3)) / images.float().std(
        (1, 2, 3)
    )
    assert float(spread.min()) < 0.6
    assert float(spread.max()) > 1.4
