from __future__ import annotations

import math
import random

import numpy as np
import torch
from PIL import Image

from preceptor.data.augment.views import VIEWS, box_draws, view_words
from preceptor.data.images.crops import (
    ATTEMPTS,
    centre_crop,
    pixels_of,
    random_boxes,
    resized_crop,
    resized_crops,
    scaled_by_products,
)


def random_box(numbers: list[list[float]], height: int, width: int) -> tuple[int, ...]:
    (box,) = random_boxes(torch.tensor([numbers], dtype=torch.float64), torch.tensor([[height, width]])).tolist()
    return tuple(box)


def image(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_boxes_lie_inside_and_have_the_area_and_ratio_asked_for() -> None:
    chance = random.Random(0)
    areas = []
    for _ in range(2000):
        height, width = chance.randint(60, 500), chance.randint(60, 500)
        numbers = [[chance.random() for _ in range(4)] for _ in range(ATTEMPTS)]
        top, left, down, across = random_box(numbers, height, width)
        assert 0 <= top <= top + down <= height
        assert 0 <= left <= left + across <= width
        assert 3 / 4 * 0.93 <= across / down <= 4 / 3 * 1.07  # sides are rounded to pixels
        areas.append(down * across / (height * width))
    assert min(areas) > 0.07
    assert max(areas) > 0.9


def test_a_box_by_hand() -> None:
    # area 0.25 of 100 x 100 at ratio 1: 50 x 50; 51 places down, so 0.5 is place 25; 0.999 is the last one across
    numbers = [[(0.25 - 0.08) / 0.92, 0.5, 0.5, 0.999]]
    assert random_box(numbers, 100, 100) == (25, 50, 50, 50)


def test_the_centre_stands_in_when_nothing_fits() -> None:
    too_wide = [[0.999, 0.999, 0.0, 0.0]] * ATTEMPTS
    assert random_box(too_wide, 400, 100) == (133, 0, 133, 100)
    assert random_box(too_wide, 100, 400) == (0, 133, 100, 133)


def test_a_crop_is_what_pillow_makes_of_it() -> None:
    picture = image(90, 120)
    box = (10, 20, 60, 70)
    crop = picture.crop((20, 10, 90, 70)).resize((32, 32), Image.Resampling.BILINEAR)
    ours, theirs = resized_crop(pixels_of(picture), box, (32, 32)).int(), pixels_of(crop).int()
    assert int((ours - theirs).abs().max()) <= 1  # Pillow rounds after each of its two passes


def test_the_centre_is_the_share_asked_for() -> None:
    assert centre_crop(image(32, 32), (32, 32), 0.5).tobytes() == image(32, 32).tobytes()
    ramp = Image.fromarray(np.repeat(np.arange(200, dtype=np.uint8)[None], 200, axis=0))
    row = np.asarray(centre_crop(ramp, (50, 50), 0.5))[25].astype(float)
    # the middle half of 0..199, halved in resolution: pixel k shows 50 + 2 k + 0.5
    np.testing.assert_allclose(row, 50.5 + 2 * np.arange(50), atol=1)


def test_the_view_is_keyed_by_seed_epoch_and_row() -> None:
    images = torch.randint(0, 256, (20, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    index = torch.arange(20)
    view = VIEWS["random_resized_crop_flip"]
    shown = view(images, 3, 7, index)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    assert view(images[order], 3, 7, index[order]).equal(shown[order])
    assert not view(images, 3, 8, index).equal(shown)
    assert not view(images, 4, 7, index).equal(shown)
    box = random_box(box_draws(3, 7, index)[4].tolist(), 24, 24)
    crop = resized_crop(images[4], box, (24, 24))
    assert shown[4].equal(crop.flip(-1) if view_words(3, 7, index)[4, 0] % 2 else crop)


def test_two_matrix_products_scale_all_crops_at_once() -> None:
    """How a device other than the CPU makes them: antialiased where they shrink, and within a step of 255."""
    images = torch.randint(0, 256, (40, 3, 30, 25), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxes = random_boxes(box_draws(1, 1, torch.arange(40)), torch.tensor([[30, 25]]).expand(40, 2))
    for size in [(30, 25), (12, 10), (64, 48)]:
        one_by_one, at_once = resized_crops(images, boxes, size), scaled_by_products(images, boxes, size)
        difference = (one_by_one.int() - at_once.int()).abs()
        assert int(difference.max()) <= 1
        assert float((difference > 0).float().mean()) < 1e-3


def test_the_numbers_are_uniform_and_distinct() -> None:
    numbers = box_draws(0, 1, torch.arange(5000))
    assert numbers.shape == (5000, ATTEMPTS, 4)
    flat = numbers.reshape(5000, -1)
    assert flat.mean(0).sub(0.5).abs().max() < 5 / math.sqrt(12 * 5000)
    correlation = torch.corrcoef(flat.T) - torch.eye(flat.shape[1])
    assert correlation.abs().max() < 5.5 / math.sqrt(5000)
