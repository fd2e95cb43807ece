from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.models import Adapted, DataSpec, create, feature_names, load_weights, observe, present, save_weights
from preceptor.models.adapters.adapted import NativePreprocessing, PreprocessingOverrides, adapt, split_preprocessing

USED_TO = DataSpec(10, (3, 16, 16), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
NOW = DataSpec(10, (3, 16, 16), (0.1, 0.2, 0.3), (1.0, 0.5, 0.25))


def batches() -> tuple[torch.Tensor, torch.Tensor]:
    """The same pixels, normalised as each says."""
    pixels = torch.rand(2, 3, 16, 16)
    both = [
        [torch.tensor(each).reshape(1, 3, 1, 1) for each in (samples.mean, samples.std)] for samples in (USED_TO, NOW)
    ]
    return (pixels - both[0][0]) / both[0][1], (pixels - both[1][0]) / both[1][1]


def test_a_network_presented_with_other_samples_answers_as_it_did() -> None:
    network = create("resnet8", num_classes=10).eval()
    before, now = batches()
    shown = present(network, USED_TO, NOW)
    assert (shown(now) - network(before)).abs().max() < 1e-5
    assert feature_names(shown) == feature_names(network)
    features, expected = observe(shown)(now).features, observe(network)(before).features
    assert all((features[name] - expected[name]).abs().max() < 1e-4 for name in expected)


def test_a_network_with_its_own_normalisation_keeps_it_whatever_it_is_given() -> None:
    own = NativePreprocessing(channels=3, mean=(0.3, 0.3, 0.3), std=(0.5, 0.5, 0.5), trained_classes=10)
    network = adapt(
        "mine", create("resnet8", num_classes=10), USED_TO, own, PreprocessingOverrides(), loads_weights=True
    ).eval()
    before, now = batches()
    shown = present(network, USED_TO, NOW)
    assert (shown(now) - network(before)).abs().max() < 1e-5
    assert network.note == "normalised by its own mean"


def test_weights_carry_the_networks_own_names(tmp_path: Path) -> None:
    plain = create("resnet8", num_classes=10)
    adapted = present(copy.deepcopy(plain), USED_TO, NOW)
    assert isinstance(adapted, Adapted)
    nn.init.ones_(adapted.network.get_parameter("conv1.weight"))
    save_weights(adapted, tmp_path / "w.safetensors")
    load_weights(plain, tmp_path / "w.safetensors")
    assert (plain.get_parameter("conv1.weight") == 1).all()


def test_a_network_whose_classes_cannot_be_set_keeps_its_own() -> None:
    found = adapt(
        "mine",
        create("resnet8", num_classes=7),
        USED_TO,
        NativePreprocessing(),
        PreprocessingOverrides(),
        loads_weights=False,
    )
    assert found(torch.zeros(1, 3, 16, 16)).shape == (1, 7)


@pytest.mark.parametrize("value", [0, -3, "large", 2.5, True])
def test_a_resolution_is_a_number_of_pixels(value: object) -> None:
    with pytest.raises(UsageError, match=re.escape(f"model.resolution: {value!r} is no number of pixels")):
        split_preprocessing({"resolution": value})


def test_keys_of_reading_are_taken_out_and_the_others_left() -> None:
    assert split_preprocessing({"normalisation": "own", "resolution": 64, "depth": 3}) == (
        PreprocessingOverrides("own", 64),
        {"depth": 3},
    )


def test_one_that_returns_no_logits_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"model mine: model Conv2d returned a tensor .*, expected logits"):
        adapt("mine", nn.Conv2d(3, 5, 1), USED_TO, NativePreprocessing(), PreprocessingOverrides(), loads_weights=False)
