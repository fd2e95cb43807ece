from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from preceptor.data.augment.views import VIEW_STREAM, VIEWS, crop_flip, flip, random_bits


def some_images(rows: int, channels: int = 3, height: int = 8, width: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (rows, channels, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_known_answers(key: tuple[int, int], counter: tuple[int, int], expected: tuple[int, int]) -> None:
    """The vectors that come with Random123 (Salmon et al.), threefry2x32 with 20 rounds."""
    words = random_bits(key[0], key[1], torch.tensor([counter[0]]), stream=counter[1])
    assert tuple(words[0].tolist()) == expected


def test_each_part_of_the_key_matters() -> None:
    index = torch.arange(50)
    base = random_bits(1, 2, index, stream=3)
    for other in (
        random_bits(2, 2, index, stream=3),
        random_bits(1, 3, index, stream=3),
        random_bits(1, 2, index, stream=4),
    ):
        assert not (base == other).any(dim=1).any()


def test_draws_are_uniform() -> None:
    words = random_bits(11, 1, torch.arange(64_000), stream=0)
    assert words.min() >= 0
    assert words.max() < 2**32
    for word in words.T:
        for shift in (0, 12, 26):  # 64 cells from low, middle and high bits
            counts = torch.bincount((word >> shift) & 63, minlength=64).double()
            assert 30 < float(((counts - 1000) ** 2 / 1000).sum()) < 110  # chi-square, 63 degrees of freedom
    both = np.corrcoef(words[:, 0].numpy(), words[:, 1].numpy())[0, 1]
    after = np.corrcoef(words[:-1, 0].numpy(), words[1:, 0].numpy())[0, 1]
    assert abs(both) < 0.02
    assert abs(after) < 0.02


def slow_crop_flip(image: np.ndarray, first: int, second: int) -> np.ndarray:
    """The protocol for one image with Python numbers: pad, crop, mirror."""
    channels, height, width = image.shape
    padded = np.zeros((channels, height + 8, width + 8), np.uint8)
    padded[:, 4 : 4 + height, 4 : 4 + width] = image
    top = (second % 2**31) * 9 // 2**31
    left = (first // 2) * 9 // 2**31
    cropped = padded[:, top : top + height, left : left + width]
    return cropped[:, :, ::-1] if first % 2 else cropped


def test_crop_flip_against_one_image_at_a_time() -> None:
    images, index = some_images(300), torch.arange(300) * 7
    shown = crop_flip(images, 3, 5, index).numpy()
    words = random_bits(3, 5, index, stream=VIEW_STREAM).tolist()
    for row, (first, second) in enumerate(words):
        np.testing.assert_array_equal(shown[row], slow_crop_flip(images[row].numpy(), first, second))


def test_flip_against_one_image_at_a_time() -> None:
    images, index = some_images(100), torch.arange(100)
    shown = flip(images, 3, 5, index)
    is_flipped = [word % 2 == 1 for word, _ in random_bits(3, 5, index, stream=VIEW_STREAM).tolist()]
    assert 30 < sum(is_flipped) < 70
    for row in range(100):
        assert torch.equal(shown[row], images[row].flip(-1) if is_flipped[row] else images[row])


def test_every_crop_comes_up_equally_often() -> None:
    """One white pixel in the middle of black says where each of 81 x 2 views was cut."""
    image = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    image[0, 0, 4, 4] = 255
    rows = 16_200
    shown = crop_flip(image.expand(rows, 1, 9, 9), 2, 1, torch.arange(rows))
    assert (shown.flatten(1) > 0).sum(1).eq(1).all()
    counts = torch.bincount(shown.flatten(1).argmax(1), minlength=81).double()
    assert 45 < float(((counts - 200) ** 2 / 200).sum()) < 130  # chi-square, 80 degrees of freedom


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_the_view_of_a_sample_knows_nothing_of_its_batch(name: str) -> None:
    images, index = some_images(40), torch.arange(40)
    together = VIEWS[name](images, 9, 4, index)
    assert together.dtype == torch.uint8
    assert together.shape == images.shape
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(VIEWS[name](images[order], 9, 4, index[order]), together[order])
    for row in (0, 17, 39):
        assert torch.equal(VIEWS[name](images[row : row + 1], 9, 4, index[row : row + 1])[0], together[row])


@pytest.mark.parametrize("name", ["flip", "crop_flip"])
def test_views_differ_by_seed_and_epoch(name: str) -> None:
    images, index = some_images(40), torch.arange(40)
    shown = VIEWS[name](images, 9, 4, index)
    assert not torch.equal(shown, VIEWS[name](images, 9, 5, index))
    assert not torch.equal(shown, VIEWS[name](images, 8, 4, index))


def test_none_changes_nothing() -> None:
    images = some_images(5)
    assert torch.equal(VIEWS["none"](images, 1, 1, torch.arange(5)), images)
