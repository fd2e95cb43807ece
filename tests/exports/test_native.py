"""What other libraries are told of how a network takes images."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from preceptor.exports.native import native_images
from preceptor.models import Adapted, DataSpec, ModelMetadata
from preceptor.models.adapters.input_adapter import InputSpec
from preceptor.models.features.stages import Stages
from preceptor.types import Preprocessing

GREY = ModelMetadata(
    model={"name": "x"},
    class_names=("a", "b"),
    input_shape=(1, 8, 8),
    input_dtype="uint8",
    preprocessing=Preprocessing((0.3,), (0.4,), channels=1, size=(8, 8), centre=0.8),
)


def test_a_bare_network_takes_the_data_as_they_are() -> None:
    found = native_images(nn.Flatten(), GREY)
    assert found is not None
    assert (found.channels, found.size, found.mean, found.std, found.are_pixels) == (1, (8, 8), (0.3,), (0.4,), True)
    assert found.scaled_size == (10, 10)


@pytest.mark.parametrize(("own_mean", "expected"), [((), (0.3,) * 3), ((0.1, 0.2, 0.3), (0.1, 0.2, 0.3))])
def test_an_adapter_gives_a_network_its_own_channels_size_and_mean(
    own_mean: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    spec = InputSpec(3, (16, 16), own_mean, own_mean)
    adapted = Adapted(nn.Flatten(), Stages({}, {}), DataSpec(2, (1, 8, 8), (0.3,), (0.4,)), spec)
    found = native_images(adapted, GREY)
    assert found is not None
    assert (found.channels, found.size, found.mean) == (3, (16, 16), expected)
    assert len(found.std) == 3


def test_numbers_in_the_shape_of_images_are_no_pixels_and_rows_of_a_table_no_images() -> None:
    plain = replace(GREY, preprocessing=Preprocessing(), input_dtype="float32")
    found = native_images(nn.Flatten(), plain)
    assert found is not None
    assert (found.mean, found.std, found.are_pixels) == ((0.0,), (1.0,), False)
    assert native_images(nn.Flatten(), replace(plain, input_shape=(6,))) is None
