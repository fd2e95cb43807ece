from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.models import Adapted, DataSpec, adapt, create, feature_names, load_weights, observe, save_weights
from preceptor.models.adapters.adapted import wrap_network
from preceptor.models.adapters.preprocessing import NativePreprocessing, PreprocessingOverrides

TRAINED_ON = DataSpec(10, (3, 16, 16), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
NOW = DataSpec(10, (3, 16, 16), (0.1, 0.2, 0.3), (1.0, 0.5, 0.25))


def batches() -> tuple[torch.Tensor, torch.Tensor]:
    """The same pixels, normalised as each says."""
    pixels = torch.rand(2, 3, 16, 16)
    both = [[torch.tensor(each).reshape(1, 3, 1, 1) for each in (spec.mean, spec.std)] for spec in (TRAINED_ON, NOW)]
    return (pixels - both[0][0]) / both[0][1], (pixels - both[1][0]) / both[1][1]


def test_a_network_adapted_to_other_samples_gives_the_same_outputs() -> None:
    network = create("resnet8", num_classes=10).eval()
    before, now = batches()
    adapted_network = adapt(network, TRAINED_ON, NOW)
    assert (adapted_network(now) - network(before)).abs().max() < 1e-5
    assert feature_names(adapted_network) == feature_names(network)
    features, expected = observe(adapted_network)(now).features, observe(network)(before).features
    assert all((features[name] - expected[name]).abs().max() < 1e-4 for name in expected)


def test_a_network_with_its_own_normalisation_keeps_it_whatever_it_is_given() -> None:
    native = NativePreprocessing(channels=3, mean=(0.3, 0.3, 0.3), std=(0.5, 0.5, 0.5), trained_classes=10)
    network = wrap_network(
        "mine", create("resnet8", num_classes=10), TRAINED_ON, native, PreprocessingOverrides(), loads_weights=True
    ).eval()
    before, now = batches()
    adapted_network = adapt(network, TRAINED_ON, NOW)
    assert (adapted_network(now) - network(before)).abs().max() < 1e-5
    assert network.note == "normalised by its own mean"


def test_weights_carry_the_networks_own_names(tmp_path: Path) -> None:
    plain = create("resnet8", num_classes=10)
    adapted = adapt(copy.deepcopy(plain), TRAINED_ON, NOW)
    assert isinstance(adapted, Adapted)
    nn.init.ones_(adapted.network.get_parameter("conv1.weight"))
    save_weights(adapted, tmp_path / "w.safetensors")
    load_weights(plain, tmp_path / "w.safetensors")
    assert (plain.get_parameter("conv1.weight") == 1).all()


def test_a_network_whose_classes_cannot_be_set_keeps_its_own() -> None:
    found = wrap_network(
        "mine",
        create("resnet8", num_classes=7),
        TRAINED_ON,
        NativePreprocessing(),
        PreprocessingOverrides(),
        loads_weights=False,
    )
    assert found(torch.zeros(1, 3, 16, 16)).shape == (1, 7)


def test_one_that_returns_no_logits_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"model mine: model Conv2d returned a tensor .*, expected logits"):
        wrap_network(
            "mine", nn.Conv2d(3, 5, 1), TRAINED_ON, NativePreprocessing(), PreprocessingOverrides(), loads_weights=False
        )
