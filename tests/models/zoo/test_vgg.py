from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from preceptor.models import create, observe
from textbook import randomise

REPEATS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2)}


@pytest.mark.parametrize("depth", REPEATS)
def test_it_is_the_textbook_computation(depth: int) -> None:
    network = create(f"vgg{depth}", num_classes=10)
    weights = randomise(network)
    hidden = inputs = torch.randn(2, 3, 16, 16)
    features: dict[str, Tensor] = {}
    for block in range(5):
        if block in (1, 2, 3):
            hidden = functional.max_pool2d(hidden, 2)
        for number in range(REPEATS[depth][block]):
            hidden = weights.conv(f"block{block}.{3 * number}", hidden)
            hidden = features[f"block{block}_preact"] = weights.norm(f"block{block}.{3 * number + 1}", hidden)
            hidden = features[f"block{block}" if block else "stem"] = hidden.relu()
    del features["block0_preact"]
    features["pooled"] = hidden.mean((2, 3))
    outputs = observe(network, list(features))(inputs)
    expected = weights.linear("classifier", features["pooled"])
    torch.testing.assert_close(outputs.logits, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(dict(outputs.features), features, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("side", "last"), [(32, 4), (64, 4), (48, 6)])
def test_only_64x64_images_are_pooled_a_fourth_time(side: int, last: int) -> None:
    with torch.device("meta"):
        features = observe(create("vgg8", num_classes=200))(torch.zeros(2, 3, side, side)).features
    assert features["block4"].shape == (2, 512, last, last)
    assert features["block3"].shape == (2, 512, side // 8, side // 8)


def test_initialisation() -> None:
    torch.manual_seed(0)
    network = create("vgg8", num_classes=100)
    assert network.get_parameter("block4.0.weight").std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    assert network.get_parameter("block4.0.bias").count_nonzero() == 0
    assert network.get_parameter("classifier.weight").std().item() == pytest.approx(0.01, rel=0.02)
    assert network.get_parameter("classifier.bias").count_nonzero() == 0
