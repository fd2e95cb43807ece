from __future__ import annotations

import pytest
import torch
from torch import Tensor

from preceptor.data.augment.extra_views import EXTRA_VIEWS, extra_view
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


def test_a_base_with_augmentations_lends_its_crop_and_flip_only() -> None:
    images, index = some_images(20), torch.arange(20)
    for name in EXTRA_VIEWS:
        alone = extra_view(name, "crop_flip")(images, 0, 1, index)
        assert torch.equal(extra_view(name, "crop_flip+trivial_augment+random_erasing")(images, 0, 1, index), alone)


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
