from __future__ import annotations

import pytest
import torch
from torch import Tensor

from preceptor.data.augment.extra_views import EXTRA_VIEWS, extra_view, strengthen
from preceptor.data.augment.views import flip


def some_images(rows: int, channels: int = 3, side: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (rows, channels, side, side), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("name", EXTRA_VIEWS)
def test_the_same_key_gives_the_same_view_in_any_batch(name: str) -> None:
    images, index = some_images(12), torch.arange(100, 112)
    view = extra_view(name, "crop_flip")
    batch_view = view(images, 3, 2, index)
    assert batch_view.dtype == torch.uint8
    assert batch_view.shape == images.shape
    assert torch.equal(view(images[4:9], 3, 2, index[4:9]), batch_view[4:9])
    assert not torch.equal(view(images, 3, 1, index), batch_view)
    assert not torch.equal(view(images, 4, 2, index), batch_view)


@pytest.mark.parametrize(("name", "turns"), [("rotated_90", 1), ("rotated_180", 2), ("rotated_270", 3)])
def test_rotations_turn_the_same_mirrored_image(name: str, turns: int) -> None:
    images, index = some_images(20), torch.arange(20)
    assert torch.equal(extra_view(name, "none")(images, 0, 1, index), torch.rot90(images, turns, (2, 3)))
    mirrored = flip(images, 0, 1, index)
    assert torch.equal(extra_view(name, "flip")(images, 0, 1, index), torch.rot90(mirrored, turns, (2, 3)))


def test_each_rotation_is_cropped_anew_after_turning() -> None:
    """Without the turn, the pictures are shifted copies: of a bright single pixel, at different places."""
    images = torch.zeros(200, 1, 17, 17, dtype=torch.uint8)
    images[:, :, 8, 8] = 255
    index = torch.arange(200)
    places = [extra_view(name, "crop_flip")(images, 0, 1, index).flatten(1).argmax(1) for name in EXTRA_VIEWS[1:]]
    rows, columns = places[0] // 17, places[0] % 17
    assert [int(v) for v in (rows.min(), rows.max(), columns.min(), columns.max())] == [4, 12, 4, 12]
    assert (places[0] == places[1]).float().mean() < 0.1
    assert (places[1] == places[2]).float().mean() < 0.1


def operation(place: int, images: Tensor, sign: float = 0.9) -> Tensor:
    """Apply one operation alone: the other round is the identity."""
    number = torch.full((len(images),), (place + 0.5) / 13)
    nothing = torch.zeros(len(images))
    return strengthen(images, torch.stack([number, torch.full_like(number, sign), nothing, nothing], dim=1))


def test_operations_by_hand() -> None:
    ramp = torch.arange(0, 64, dtype=torch.uint8).view(1, 1, 8, 8).expand(1, 3, 8, 8)
    assert torch.equal(operation(0, ramp), ramp)
    stretched = (ramp.double() * 255 / 63).round().to(torch.uint8)
    assert torch.equal(operation(1, ramp), stretched)
    torch.testing.assert_close(operation(2, ramp).double(), ramp * 1.3, atol=0.51, rtol=0, check_dtype=False)
    torch.testing.assert_close(operation(2, ramp, 0.1).double(), ramp * 0.7, atol=0.51, rtol=0, check_dtype=False)
    assert torch.equal(operation(3, ramp), ramp)  # grey has no colour to strengthen
    assert torch.equal(operation(6, ramp), ramp - ramp % 2)
    bright = ramp + 190
    assert torch.equal(operation(7, bright), torch.where(bright >= 170, 255 - bright, bright))


def test_shears_and_shifts_move_pixels_by_a_tenth_and_a_seventh_of_the_side() -> None:
    image = torch.zeros(1, 1, 21, 21, dtype=torch.uint8)
    image[..., 10, 10] = 255
    for place, expected in ((11, (10, 7)), (12, (7, 10))):  # 150 / 331 / 3 of 21 pixels are 3.2
        found = operation(place, image)[0, 0].nonzero()[0]
        assert tuple(found.tolist()) == expected
    line = torch.zeros(1, 1, 21, 21, dtype=torch.uint8)
    line[..., :, 10] = 255
    sheared = operation(9, line)[0, 0].argmax(1)
    assert sheared.tolist() == pytest.approx([10 + 0.1 * (10 - row) for row in range(21)], abs=0.51)


def test_a_shape_that_fits_all_images_is_left_whole() -> None:
    """Every operation at once, on one batch: rows do not mix."""
    images = some_images(13)
    choices = torch.stack([(torch.arange(13) + 0.5) / 13, *torch.rand(3, 13, generator=torch.Generator())], dim=1)
    together = strengthen(images, choices)
    alone = torch.cat([strengthen(images[k : k + 1], choices[k : k + 1]) for k in range(13)])
    assert torch.equal(together, alone)
