from __future__ import annotations

import re

import pytest
import torch
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models import DataSpec
from preceptor.models.adapters.input_adapter import InputAdapter, InputSpec

MEAN, STD = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
OWN_MEAN, OWN_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixels(*shape: int) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def normalised(images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    return torch.stack([(images[:, k] - mean[k]) / std[k] for k in range(len(mean))], dim=1)


@pytest.mark.parametrize("size", [None, (20, 20), (9, 33)])
def test_the_network_sees_the_pixels_normalised_its_own_way(size: tuple[int, int] | None) -> None:
    images = pixels(4, 3, 12, 12)
    adapter = InputAdapter(DataSpec(10, (3, 12, 12), MEAN, STD), InputSpec(3, size, OWN_MEAN, OWN_STD))
    outputs = adapter(normalised(images, MEAN, STD).float())
    if size is not None:
        images = functional.interpolate(images, size, mode="bilinear", antialias=True)
    assert (outputs.double() - normalised(images, OWN_MEAN, OWN_STD)).abs().max() < 1e-5


def test_there_and_back_is_the_batch() -> None:
    batch = normalised(pixels(4, 3, 8, 8), MEAN, STD).float()
    there = InputAdapter(DataSpec(10, (3, 8, 8), MEAN, STD), InputSpec(3, None, OWN_MEAN, OWN_STD))
    back = InputAdapter(DataSpec(10, (3, 8, 8), OWN_MEAN, OWN_STD), InputSpec(3, None, MEAN, STD))
    assert not torch.allclose(there(batch), batch, atol=0.01)
    assert (back(there(batch)) - batch).abs().max() < 1e-5


def test_a_grey_image_becomes_three_channels_each_normalised_its_own_way() -> None:
    images = pixels(2, 1, 8, 8)
    adapter = InputAdapter(DataSpec(10, (1, 8, 8), (0.3,), (0.4,)), InputSpec(3, None, OWN_MEAN, OWN_STD))
    outputs = adapter(((images - 0.3) / 0.4).float())
    assert (outputs.double() - normalised(images.repeat(1, 3, 1, 1), OWN_MEAN, OWN_STD)).abs().max() < 1e-5
    assert str(adapter) == "1 channel repeated to 3, normalised by its own mean"
    plain = InputAdapter(DataSpec(10, (1, 8, 8), (0.3,), (0.4,)), InputSpec(3))
    batch = images.float()
    assert torch.equal(plain(batch), batch.repeat(1, 3, 1, 1))


def test_what_need_not_change_is_handed_on() -> None:
    batch = torch.randn(2, 3, 8, 8)
    adapter = InputAdapter(DataSpec(10, (3, 8, 8), MEAN, STD), InputSpec(3, (8, 8), MEAN, STD))
    assert adapter(batch) is batch
    assert str(adapter) == ""
    vectors = torch.randn(2, 5)
    assert InputAdapter(DataSpec(3, (5,)), InputSpec())(vectors) is vectors


def test_it_says_what_it_does() -> None:
    data_spec = DataSpec(10, (3, 32, 32), MEAN, STD)
    assert (
        str(InputAdapter(data_spec, InputSpec(3, (224, 224), OWN_MEAN, OWN_STD)))
        == "resized 32 -> 224, normalised by its own mean"
    )
    assert str(InputAdapter(data_spec, InputSpec(3, (16, 24)))) == "resized 32 -> 16x24"
    raw = InputAdapter(DataSpec(10, (3, 8, 8)), InputSpec(3, None, OWN_MEAN, OWN_STD))
    assert str(raw) == "normalised by its own mean (its values taken to lie in [0, 1])"


def test_nothing_of_it_is_a_weight() -> None:
    adapter = InputAdapter(DataSpec(10, (3, 8, 8), MEAN, STD), InputSpec(3, (9, 9), OWN_MEAN, OWN_STD))
    assert not adapter.state_dict()
    assert not list(adapter.parameters())


@pytest.mark.parametrize(
    ("input_spec", "message"),
    [
        (InputSpec(4), "reads 4 channels, and the samples have 3"),
        (InputSpec(3, None, (0.5, 0.5), (1.0, 1.0)), "over 2 channels"),
    ],
)
def test_what_cannot_be_made_to_fit(input_spec: InputSpec, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        InputAdapter(DataSpec(10, (3, 8, 8), MEAN, STD), input_spec)
