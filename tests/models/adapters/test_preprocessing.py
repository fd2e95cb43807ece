from __future__ import annotations

import re

import pytest

from preceptor.errors import UsageError
from preceptor.models import DataSpec
from preceptor.models.adapters.preprocessing import PreprocessingOverrides, image_shape, split_preprocessing


@pytest.mark.parametrize("value", [0, -3, "large", 2.5, True])
def test_a_resolution_is_a_number_of_pixels(value: object) -> None:
    with pytest.raises(UsageError, match=re.escape(f"model.resolution: {value!r} is no number of pixels")):
        split_preprocessing({"resolution": value})


def test_keys_on_preprocessing_are_taken_out_and_the_others_left() -> None:
    assert split_preprocessing({"normalisation": "own", "resolution": 64, "depth": 3}) == (
        PreprocessingOverrides("own", 64),
        {"depth": 3},
    )


def test_a_normalisation_is_the_datas_or_its_own() -> None:
    with pytest.raises(UsageError, match=r"model\.normalisation: 'imagenet' is neither data nor own"):
        split_preprocessing({"normalisation": "imagenet"})


def test_images_have_three_dimensions() -> None:
    assert image_shape("timm:x", DataSpec(10, (3, 8, 9))) == (3, 8, 9)
    with pytest.raises(UsageError, match=r"timm:x is for images, and the samples have shape \(5,\); try mlp"):
        image_shape("timm:x", DataSpec(10, (5,)))
