from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from preceptor.models import create, observe
from textbook import randomise, shuffle


def test_it_is_the_textbook_computation() -> None:
    network = create("ShuffleV1", num_classes=10)
    weights, inputs = randomise(network), torch.randn(2, 3, 16, 16)
    features: dict[str, Tensor] = {}
    hidden = features["stem"] = weights.norm("bn1", weights.conv("conv1", inputs)).relu()
    for stage, blocks in ((1, 4), (2, 8), (3, 4)):
        for number in range(blocks):
            block, stride = f"layer{stage}.{number}", 2 if number == 0 else 1
            groups = 1 if stage == 1 and number == 0 else 3
            inner = weights.norm(f"{block}.bn1", weights.conv(f"{block}.conv1", hidden, groups=groups)).relu()
            inner = shuffle(inner, groups)
            inner = weights.conv(f"{block}.conv2", inner, stride=stride, groups=inner.shape[1])
            inner = weights.norm(f"{block}.bn2", inner).relu()
            inner = weights.norm(f"{block}.bn3", weights.conv(f"{block}.conv3", inner, groups=3))
            if stride == 2:
                pooled = functional.avg_pool2d(hidden, 3, stride=2, padding=1)
                before = torch.cat([inner, pooled], dim=1)
            else:
                before = inner + hidden
            hidden = before.relu()
        features[f"block{stage}"], features[f"block{stage}_preact"] = hidden, before
    features["pooled"] = hidden.mean((2, 3))
    outputs = observe(network, list(features))(inputs)
    torch.testing.assert_close(outputs.logits, weights.linear("linear", features["pooled"]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(dict(outputs.features), features, rtol=1e-3, atol=1e-3)
