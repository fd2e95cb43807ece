from __future__ import annotations

import torch
from torch import Tensor

from preceptor.models import create, observe
from textbook import Weights, randomise, shuffle


def down(weights: Weights, block: str, inputs: Tensor) -> tuple[Tensor, Tensor]:
    left = weights.norm(f"{block}.bn1", weights.conv(f"{block}.conv1", inputs, stride=2, groups=inputs.shape[1]))
    left = weights.norm(f"{block}.bn2", weights.conv(f"{block}.conv2", left))
    right = weights.norm(f"{block}.bn3", weights.conv(f"{block}.conv3", inputs)).relu()
    right = weights.norm(f"{block}.bn4", weights.conv(f"{block}.conv4", right, stride=2, groups=right.shape[1]))
    right = weights.norm(f"{block}.bn5", weights.conv(f"{block}.conv5", right))
    return left.relu(), right


def basic(weights: Weights, block: str, inputs: Tensor) -> tuple[Tensor, Tensor]:
    half = inputs.shape[1] // 2
    inner = weights.norm(f"{block}.bn1", weights.conv(f"{block}.conv1", inputs[:, half:])).relu()
    inner = weights.norm(f"{block}.bn2", weights.conv(f"{block}.conv2", inner, groups=half))
    return inputs[:, :half], weights.norm(f"{block}.bn3", weights.conv(f"{block}.conv3", inner))


def test_it_is_the_textbook_computation() -> None:
    network = create("ShuffleV2", num_classes=10)
    weights, inputs = randomise(network), torch.randn(2, 3, 16, 16)
    features: dict[str, Tensor] = {}
    hidden = features["stem"] = weights.norm("bn1", weights.conv("conv1", inputs)).relu()
    for stage, blocks in ((1, 4), (2, 8), (3, 4)):
        for number in range(blocks):
            branches = (down if number == 0 else basic)(weights, f"layer{stage}.{number}", hidden)
            hidden = shuffle(torch.cat([branches[0], branches[1].relu()], dim=1), 2)
        features[f"block{stage}"] = hidden
        features[f"block{stage}_preact"] = shuffle(torch.cat(branches, dim=1), 2)
    features["pooled"] = weights.norm("bn2", weights.conv("conv2", hidden)).relu().mean((2, 3))
    outputs = observe(network, list(features))(inputs)
    torch.testing.assert_close(outputs.logits, weights.linear("linear", features["pooled"]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(dict(outputs.features), features, rtol=1e-3, atol=1e-3)


def test_preactivations_are_negative_only_in_the_half_that_was_computed() -> None:
    network = create("ShuffleV2", num_classes=10).eval()
    features = observe(network, ["block2", "block2_preact"])(torch.randn(2, 3, 32, 32)).features
    before = features["block2_preact"]
    assert torch.equal(before.relu(), features["block2"])
    assert (before[:, 0::2] >= 0).all()
    assert (before[:, 1::2] < 0).any()
