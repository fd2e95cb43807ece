"""ShuffleNet v2 at width 1 for 32x32 images.

Source: Ma, Zhang, Zheng, Sun, "ShuffleNet V2" (ECCV 2018); sizes and parameter names as in the CRD benchmark (ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.models.features.observed import FeatureNetwork
from preceptor.models.zoo.layers import depthwise3x3, pool, shuffle_channels

__all__ = ["ShuffleNetV2", "shufflenet_v2"]


class BasicBlock(nn.Module):
    """One half of the channels passes, the other goes through 1x1, 3x3 depthwise, 1x1; then they are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = depthwise3x3(half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.last_relu = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        passed, taken = inputs.chunk(2, dim=1)
        hidden = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(taken)))))
        joined = torch.cat([passed, self.bn3(self.conv3(hidden))], dim=1)
        out: Tensor = self.last_relu(shuffle_channels(joined, 2))  # leaves `passed`, a ReLU's output, as it is
        return out


class DownBlock(nn.Module):
    """Halves the side: both branches see all channels."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = depthwise3x3(in_channels, 2)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = depthwise3x3(half, 2)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, inputs: Tensor) -> Tensor:
        left = functional.relu(self.bn2(self.conv2(self.bn1(self.conv1(inputs)))))
        right = functional.relu(self.bn3(self.conv3(inputs)))
        right = functional.relu(self.bn5(self.conv5(self.bn4(self.conv4(right)))))
        return shuffle_channels(torch.cat([left, right], dim=1), 2)


class ShuffleNetV2(FeatureNetwork):
    """1x1 stem to 24 channels, stages at 116, 232, 464 channels, 1x1 to 1024, pool, linear."""

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.relu = nn.ReLU()
        self.layer1 = _stage(24, 116, 3)
        self.layer2 = _stage(116, 232, 7)
        self.layer3 = _stage(232, 464, 3)
        self.conv2 = nn.Conv2d(464, 1024, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1024)
        self.relu2 = nn.ReLU()
        self.linear = nn.Linear(1024, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.bn1(self.conv1(inputs)))
        hidden = self.layer3(self.layer2(self.layer1(hidden)))
        logits: Tensor = self.linear(pool(self.relu2(self.bn2(self.conv2(hidden)))))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """The features of the benchmark, after ReLU."""
        return {"stem": "relu", "block1": "layer1", "block2": "layer2", "block3": "layer3", "pooled": "linear:input"}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """The maps before each stage's last ReLU, shuffled like the output; the half that passes is non-negative."""
        last = {1: 3, 2: 7, 3: 3}
        return {f"block{k}_preact": f"layer{k}.{last[k]}.last_relu:input" for k in last}


def shufflenet_v2(*, num_classes: int, in_channels: int = 3) -> ShuffleNetV2:
    """Return ShuffleNet v2 at width 1."""
    return ShuffleNetV2(num_classes=num_classes, in_channels=in_channels)


def _stage(in_channels: int, channels: int, basic_blocks: int) -> nn.Sequential:
    return nn.Sequential(DownBlock(in_channels, channels), *(BasicBlock(channels) for _ in range(basic_blocks)))
