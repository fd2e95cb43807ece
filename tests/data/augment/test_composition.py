from __future__ import annotations

import pytest
import torch

from preceptor.data.augment.composition import base_of, check_view_name, composed, described, view_of
from preceptor.data.augment.operations import AUGMENTATIONS
from preceptor.data.augment.views import VIEWS
from preceptor.errors import UsageError


@pytest.mark.parametrize(
    "name",
    [
        *VIEWS,
        *AUGMENTATIONS,
        "crop_flip+trivial_augment",
        "none+rand_augment",
        "random_resized_crop_flip+color_jitter",
    ],
)
def test_views_are_keyed_by_sample(name: str) -> None:
    check_view_name(name)
    view, index = view_of(name), torch.arange(30)
    images = torch.randint(0, 256, (30, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    together = view(images, 9, 4, index)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    assert torch.equal(view(images[order], 9, 4, index[order]), together[order])
    assert torch.equal(view(images[3:4], 9, 4, index[3:4]), together[3:4])
    assert described(name)
    if name != "none":
        assert not torch.equal(view(images, 9, 5, index), together)
        assert not torch.equal(view(images, 8, 4, index), together)


def test_parts_come_one_after_the_other_each_with_its_own_numbers() -> None:
    images = torch.randint(0, 256, (30, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    index = torch.arange(30)
    shown = images
    for view in (VIEWS["crop_flip"], AUGMENTATIONS["trivial_augment"], AUGMENTATIONS["random_erasing"]):
        shown = view(shown, 2, 3, index)
    assert torch.equal(view_of("crop_flip+trivial_augment+random_erasing")(images, 2, 3, index), shown)
    assert torch.equal(composed([])(images, 2, 3, index), images)


def test_a_crop_that_the_split_makes_is_not_made_again() -> None:
    made, images, index = (
        frozenset({"random_resized_crop_flip"}),
        torch.zeros(3, 3, 8, 8, dtype=torch.uint8),
        torch.arange(3),
    )
    rest = view_of("random_resized_crop_flip+color_jitter", made)
    assert torch.equal(rest(images, 1, 1, index), AUGMENTATIONS["color_jitter"](images, 1, 1, index))
    assert torch.equal(view_of("random_resized_crop_flip", made)(images, 1, 1, index), images)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crop_flop", "data.view: unknown name 'crop_flop'; did you mean crop_flip?"),
        ("crop_flip+trivial", "data.view: unknown name 'trivial'; did you mean trivial_augment?"),
        ("crop_flip+", "data.view: unknown name ''"),
        ("trivial_augment+crop_flip", "data.view: trivial_augment+crop_flip: crop_flip comes first or not at all"),
        ("crop_flip+flip", "data.view: crop_flip+flip: flip comes first or not at all"),
        ("flip+color_jitter+color_jitter", "data.view: flip+color_jitter+color_jitter: color_jitter is there twice"),
    ],
)
def test_names_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_view_name(name)
    assert str(caught.value).startswith(message)


def test_the_base_of_a_view() -> None:
    assert base_of("crop_flip+trivial_augment") == "crop_flip"
    assert base_of("trivial_augment") == base_of("none") == "none"
