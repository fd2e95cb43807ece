from __future__ import annotations

import pytest
import torch
from torch import Tensor

from preceptor.models import create, observe
from textbook import randomise

REPEATS, STRIDES = (1, 2, 3, 4, 3, 3, 1), (1, 1, 2, 2, 1, 2, 1)
FEATURE_AFTER_GROUP = {1: "block1", 2: "block2", 4: "block3", 6: "block4"}  # groups counted from 0


def test_it_is_the_textbook_computation() -> None:
    network = create("MobileNetV2", num_classes=10)
    weights, inputs = randomise(network), torch.randn(2, 3, 32, 32)
    features: dict[str, Tensor] = {}
    hidden = features["stem"] = weights.norm("conv1.1", weights.conv("conv1.0", inputs, stride=2)).relu()
    for group in range(7):
        for number in range(REPEATS[group]):
            block, stride = f"blocks.{group}.{number}.conv", STRIDES[group] if number == 0 else 1
            inner = weights.norm(f"{block}.1", weights.conv(f"{block}.0", hidden)).relu()
            inner = weights.conv(f"{block}.3", inner, stride=stride, groups=inner.shape[1])
            inner = weights.norm(f"{block}.4", inner).relu()
            inner = weights.norm(f"{block}.7", weights.conv(f"{block}.6", inner))
            hidden = inner + hidden if stride == 1 and inner.shape == hidden.shape else inner
        if group in FEATURE_AFTER_GROUP:
            features[FEATURE_AFTER_GROUP[group]] = hidden
    features["pooled"] = weights.norm("conv2.1", weights.conv("conv2.0", hidden)).relu().mean((2, 3))
    outputs = observe(network)(inputs)
    expected = weights.linear("classifier.0", features["pooled"])
    torch.testing.assert_close(outputs.logits, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(dict(outputs.features), features, rtol=1e-3, atol=1e-3)


def test_blocks_end_linearly_so_their_preactivations_are_the_same_maps() -> None:
    names = [name for k in (1, 2, 3, 4) for name in (f"block{k}", f"block{k}_preact")]
    features = observe(create("MobileNetV2", num_classes=10).eval(), names)(torch.randn(2, 3, 32, 32)).features
    for k in (1, 2, 3, 4):
        assert (features[f"block{k}"] < 0).any()
        assert torch.equal(features[f"block{k}"], features[f"block{k}_preact"])


def test_initialisation() -> None:
    torch.manual_seed(0)
    network = create("MobileNetV2", num_classes=100)
    assert network.get_parameter("conv2.0.weight").std().item() == pytest.approx((2 / 1280) ** 0.5, rel=0.01)
    assert network.get_parameter("classifier.0.weight").std().item() == pytest.approx(0.01, rel=0.02)
    assert network.get_parameter("classifier.0.bias").count_nonzero() == 0
