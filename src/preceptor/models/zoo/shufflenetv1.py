"""ShuffleNet v1 with three groups for 32x32 images.

Source: Zhang, Zhou, Lin, Sun, "ShuffleNet" (CVPR 2018); sizes and parameter names as in the CRD benchmark (ICLR 2020).
Differs from the paper, as the benchmark does: there is a ReLU after the depthwise convolution.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.models.features.observed import FeatureNetwork
from preceptor.models.zoo.layers import depthwise3x3, pool, shuffle_channels

__all__ = ["ShuffleNetV1", "shufflenet_v1"]

_STEM = 24


class Bottleneck(nn.Module):
    """Grouped 1x1, shuffle, 3x3 depthwise, grouped 1x1; at stride 2 the pooled input is concatenated, else added."""

    def __init__(self, in_channels: int, channels: int, stride: int, groups: int) -> None:
        super().__init__()
        self._stride = stride
        self._groups = 1 if in_channels == _STEM else groups  # the stem is too thin to be split
        made = channels - in_channels if stride == 2 else channels
        middle = made // 4
        self.conv1 = nn.Conv2d(in_channels, middle, 1, groups=self._groups, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = depthwise3x3(middle, stride)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, made, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(made)
        self.last_relu = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = shuffle_channels(functional.relu(self.bn1(self.conv1(inputs))), self._groups)
        hidden = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(hidden)))))
        if self._stride == 2:
            joined = torch.cat([hidden, functional.avg_pool2d(inputs, 3, stride=2, padding=1)], dim=1)
        else:
            joined = hidden + inputs
        out: Tensor = self.last_relu(joined)
        return out


class ShuffleNetV1(FeatureNetwork):
    """1x1 stem to 24 channels, stages of 4, 8, 4 blocks at 240, 480, 960 channels, pool, linear."""

    def __init__(self, *, num_classes: int, in_channels: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, _STEM, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self.relu = nn.ReLU()
        self.layer1 = _stage(_STEM, 240, 4, groups)
        self.layer2 = _stage(240, 480, 8, groups)
        self.layer3 = _stage(480, 960, 4, groups)
        self.linear = nn.Linear(960, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.bn1(self.conv1(inputs)))
        logits: Tensor = self.linear(pool(self.layer3(self.layer2(self.layer1(hidden)))))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """The features of the benchmark, after ReLU."""
        return {"stem": "relu", "block1": "layer1", "block2": "layer2", "block3": "layer3", "pooled": "linear:input"}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """The sums before each stage's last ReLU."""
        last = {1: 3, 2: 7, 3: 3}
        return {f"block{k}_preact": f"layer{k}.{last[k]}.last_relu:input" for k in last}


def shufflenet_v1(*, num_classes: int, in_channels: int = 3) -> ShuffleNetV1:
    """Return ShuffleNet v1 with three groups."""
    return ShuffleNetV1(num_classes=num_classes, in_channels=in_channels, groups=3)


def _stage(in_channels: int, channels: int, blocks: int, groups: int) -> nn.Sequential:
    first = Bottleneck(in_channels, channels, 2, groups)
    return nn.Sequential(first, *(Bottleneck(channels, channels, 1, groups) for _ in range(blocks - 1)))
