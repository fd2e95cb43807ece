from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from preceptor.models import create, observe
from preceptor.models.zoo.resnet import resnet
from textbook import randomise


@pytest.mark.parametrize("name", ["resnet8", "resnet14", "resnet8x4"])
def test_it_is_the_textbook_computation(name: str) -> None:
    network = create(name, num_classes=10)
    weights, inputs = randomise(network), torch.randn(2, 3, 16, 16)
    features: dict[str, Tensor] = {}
    hidden = features["stem"] = weights.norm("bn1", weights.conv("conv1", inputs)).relu()
    for stage in (1, 2, 3):
        for number in range(2 if name == "resnet14" else 1):
            block, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1
            inner = weights.norm(f"{block}.bn1", weights.conv(f"{block}.conv1", hidden, stride=stride)).relu()
            inner = weights.norm(f"{block}.bn2", weights.conv(f"{block}.conv2", inner))
            if weights.has(f"{block}.downsample.0"):
                hidden = weights.conv(f"{block}.downsample.0", hidden, stride=stride)
                hidden = weights.norm(f"{block}.downsample.1", hidden)
            features[f"block{stage}_preact"] = inner + hidden
            hidden = features[f"block{stage}"] = (inner + hidden).relu()
    features["pooled"] = hidden.mean((2, 3))
    outputs = observe(network, list(features))(inputs)
    torch.testing.assert_close(outputs.logits, weights.linear("fc", features["pooled"]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dict(outputs.features), features, rtol=1e-4, atol=1e-4)


def test_preactivations_are_the_features_before_their_relu() -> None:
    network = create("resnet14", num_classes=10).eval()
    names = [f"block{k}{suffix}" for k in (1, 2, 3) for suffix in ("", "_preact")]
    features = observe(network, names)(torch.randn(2, 3, 32, 32)).features
    for k in (1, 2, 3):
        assert (features[f"block{k}_preact"] < 0).any()
        assert torch.equal(features[f"block{k}_preact"].relu(), features[f"block{k}"])


def test_initialisation() -> None:
    torch.manual_seed(0)
    network = resnet(8, (16, 16, 32, 64), num_classes=10)
    assert network.get_parameter("layer3.0.conv2.weight").std().item() == pytest.approx(math.sqrt(2 / 576), rel=0.03)
    assert network.get_parameter("layer3.0.downsample.0.weight").std().item() == pytest.approx(
        math.sqrt(2 / 64), rel=0.06
    )
    assert torch.equal(network.get_parameter("bn1.weight"), torch.ones(16))
