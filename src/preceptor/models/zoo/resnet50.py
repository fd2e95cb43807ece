"""ResNet-50 with a stride-1 3x3 stem and no max-pool, for 32x32 images.

Source: He et al. (CVPR 2016), table 1; stem and parameter names as in the CRD benchmark (ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from preceptor.models.features.observed import FeatureNetwork
from preceptor.models.zoo.layers import conv3x3, init_kaiming, pool

__all__ = ["ResNet50", "resnet50"]

_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the width, plus the (projected) input, ReLU."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        channels = _EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            projection = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels))
        self.last_relu = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(inputs)))
        hidden = functional.relu(self.bn2(self.conv2(hidden)))
        out: Tensor = self.last_relu(self.bn3(self.conv3(hidden)) + self.shortcut(inputs))
        return out


class ResNet50(FeatureNetwork):
    """Stem, stages of 3, 4, 6, 3 bottlenecks with strides 1, 2, 2, 2, pool, linear."""

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, 64)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.layer1 = _stage(64, 64, _BLOCKS[0], 1)
        self.layer2 = _stage(256, 128, _BLOCKS[1], 2)
        self.layer3 = _stage(512, 256, _BLOCKS[2], 2)
        self.layer4 = _stage(1024, 512, _BLOCKS[3], 2)
        self.linear = nn.Linear(2048, num_classes)
        init_kaiming(self)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.bn1(self.conv1(inputs)))
        hidden = self.layer4(self.layer3(self.layer2(self.layer1(hidden))))
        logits: Tensor = self.linear(pool(hidden))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """The features of the benchmark, after ReLU."""
        return {"stem": "relu", **{f"block{k}": f"layer{k}" for k in (1, 2, 3, 4)}, "pooled": "linear:input"}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """The sums before each stage's last ReLU."""
        return {f"block{k}_preact": f"layer{k}.{_BLOCKS[k - 1] - 1}.last_relu:input" for k in (1, 2, 3, 4)}


def resnet50(*, num_classes: int, in_channels: int = 3) -> ResNet50:
    """Return ResNet-50 for small images."""
    return ResNet50(num_classes=num_classes, in_channels=in_channels)


def _stage(in_channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(in_channels, width, stride)
    return nn.Sequential(first, *(Bottleneck(_EXPANSION * width, width, 1) for _ in range(blocks - 1)))
