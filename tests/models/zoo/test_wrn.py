from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from preceptor.models import create, observe
from textbook import randomise


@pytest.mark.parametrize("name", ["wrn_16_1", "wrn_16_2"])
def test_it_is_the_textbook_computation(name: str) -> None:
    network = create(name, num_classes=10)
    weights, inputs = randomise(network), torch.randn(2, 3, 16, 16)
    features: dict[str, Tensor] = {}
    hidden = features["stem"] = weights.conv("conv1", inputs)
    for stage in (1, 2, 3):
        for number in (0, 1):
            block, stride = f"block{stage}.layer.{number}", 2 if stage > 1 and number == 0 else 1
            opened = weights.norm(f"{block}.bn1", hidden)
            if number == 0 and stage > 1:
                features[f"block{stage - 1}_preact"] = opened
            inner = weights.norm(f"{block}.bn2", weights.conv(f"{block}.conv1", opened.relu(), stride=stride)).relu()
            if weights.has(f"{block}.convShortcut"):
                hidden = weights.conv(f"{block}.convShortcut", opened.relu(), stride=stride)
            hidden = hidden + weights.conv(f"{block}.conv2", inner)
        features[f"block{stage}"] = hidden
    features["block3_preact"] = weights.norm("bn1", hidden)
    features["pooled"] = features["block3_preact"].relu().mean((2, 3))
    outputs = observe(network, list(features))(inputs)
    torch.testing.assert_close(outputs.logits, weights.linear("fc", features["pooled"]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dict(outputs.features), features, rtol=1e-4, atol=1e-4)


def test_the_last_block_is_taken_before_the_last_norm_and_relu() -> None:
    network = create("wrn_16_1", num_classes=10).eval()
    features = observe(network)(torch.randn(4, 3, 32, 32)).features
    assert (features["block3"] < 0).any()
    through = network.get_submodule("bn1")(features["block3"]).relu().mean((2, 3))
    torch.testing.assert_close(through, features["pooled"])


def test_initialisation() -> None:
    torch.manual_seed(0)
    network = create("wrn_16_1", num_classes=10)
    drawn = network.get_parameter("block3.layer.1.conv2.weight").std().item()
    assert drawn == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.03)
    assert network.get_parameter("fc.bias").count_nonzero() == 0
