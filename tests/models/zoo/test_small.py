from __future__ import annotations

import pytest
import torch
from torch import Tensor

from preceptor.models import create, observe
from textbook import randomise

DEPTH = {"convnet_s": 1, "convnet_m": 2}


@pytest.mark.parametrize("name", DEPTH)
def test_the_convolutional_nets_are_what_they_say(name: str) -> None:
    network = create(name, num_classes=10, input_shape=(1, 8, 8))
    weights, inputs = randomise(network), torch.randn(3, 1, 8, 8)
    features: dict[str, Tensor] = {}
    hidden = features["stem"] = weights.norm("stem.1", weights.conv("stem.0", inputs)).relu()
    for block in (0, 1):
        for number in range(DEPTH[name]):
            layer, stride = f"blocks.{block}.{number}", 2 if block == 1 and number == 0 else 1
            before = weights.norm(f"{layer}.1", weights.conv(f"{layer}.0", hidden, stride=stride))
            hidden = before.relu()
        features[f"block{block + 1}"], features[f"block{block + 1}_preact"] = hidden, before
    features["pooled"] = hidden.mean((2, 3))
    outputs = observe(network, list(features))(inputs)
    torch.testing.assert_close(outputs.logits, weights.linear("classifier", features["pooled"]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dict(outputs.features), features, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "low", "high"), [("convnet_s", 1_000, 10_000), ("convnet_m", 40_000, 110_000)])
def test_the_small_nets_are_small(name: str, low: int, high: int) -> None:
    network = create(name, num_classes=10, input_shape=(1, 8, 8))
    assert low < sum(p.numel() for p in network.parameters()) < high


def test_mlp_takes_widths_and_any_shape() -> None:
    network = create("mlp", num_classes=2, input_shape=(8,), options={"widths": [5, 6, 7]})
    features = observe(network)(torch.randn(3, 8)).features
    assert {name: feature.shape[1] for name, feature in features.items()} == {
        "hidden1": 5,
        "hidden2": 6,
        "hidden3": 7,
        "pooled": 7,
    }
    assert create("mlp", num_classes=2, input_shape=(1, 8, 8))(torch.randn(3, 1, 8, 8)).shape == (3, 2)
    assert sum(p.numel() for p in network.parameters()) == (8 * 5 + 5) + (5 * 6 + 6) + (6 * 7 + 7) + (7 * 2 + 2)


def test_mlp_is_relu_between_linear_layers() -> None:
    network = create("mlp", num_classes=2, input_shape=(2, 3), options={"widths": [4]})
    weights, inputs = randomise(network), torch.randn(5, 2, 3)
    hidden = weights.linear("layers.0.0", inputs.reshape(5, 6)).relu()
    torch.testing.assert_close(network(inputs), weights.linear("classifier", hidden))


def test_mlp_without_hidden_layers_is_a_linear_classifier() -> None:
    network = create("mlp", num_classes=2, input_shape=(6,), options={"widths": []})
    assert sorted(network.state_dict()) == ["classifier.bias", "classifier.weight"]
