from __future__ import annotations

import torch
from torch import Tensor

from preceptor.models import create, observe
from textbook import randomise


def test_it_is_the_textbook_computation() -> None:
    network = create("ResNet50", num_classes=10)
    weights, inputs = randomise(network), torch.randn(1, 3, 16, 16)
    features: dict[str, Tensor] = {}
    hidden = features["stem"] = weights.norm("bn1", weights.conv("conv1", inputs)).relu()
    for stage, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for number in range(blocks):
            block, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1
            inner = weights.norm(f"{block}.bn1", weights.conv(f"{block}.conv1", hidden)).relu()
            inner = weights.norm(f"{block}.bn2", weights.conv(f"{block}.conv2", inner, stride=stride)).relu()
            inner = weights.norm(f"{block}.bn3", weights.conv(f"{block}.conv3", inner))
            if number == 0:
                hidden = weights.conv(f"{block}.shortcut.0", hidden, stride=stride)
                hidden = weights.norm(f"{block}.shortcut.1", hidden)
            features[f"block{stage}_preact"] = inner + hidden
            hidden = (inner + hidden).relu()
        features[f"block{stage}"] = hidden
    features["pooled"] = hidden.mean((2, 3))
    outputs = observe(network, list(features))(inputs)
    torch.testing.assert_close(outputs.logits, weights.linear("linear", features["pooled"]), rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(dict(outputs.features), features, rtol=1e-3, atol=1e-2)
