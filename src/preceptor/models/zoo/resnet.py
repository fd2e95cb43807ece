"""CIFAR ResNets of depth 6n + 2 with projection shortcuts, and their four times wider kin.

Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (CVPR 2016), section 4.2; widths, shortcuts
and parameter names as in the CRD benchmark (Tian, Krishnan, Isola, ICLR 2020), so that its checkpoints load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from preceptor.models.features.observed import FeatureNetwork
from preceptor.models.zoo.layers import conv3x3, init_kaiming, pool

__all__ = ["ResNet", "resnet"]


class BasicBlock(nn.Module):
    """conv-BN-ReLU-conv-BN, plus the input, ReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = nn.Sequential()
        if stride != 1 or in_channels != channels:
            projection = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))
        self.last_relu = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.bn1(self.conv1(inputs)))
        out: Tensor = self.last_relu(self.bn2(self.conv2(hidden)) + self.downsample(inputs))
        return out


class ResNet(FeatureNetwork):
    """Stem, three stages of `blocks` basic blocks with strides 1, 2, 2, average pool, linear."""

    def __init__(self, blocks: int, widths: Sequence[int], *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self._blocks = blocks
        self.conv1 = conv3x3(in_channels, widths[0])
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.layer1 = self._stage(blocks, widths[0], widths[1], 1)
        self.layer2 = self._stage(blocks, widths[1], widths[2], 2)
        self.layer3 = self._stage(blocks, widths[2], widths[3], 2)
        self.fc = nn.Linear(widths[3], num_classes)
        init_kaiming(self)

    @staticmethod
    def _stage(blocks: int, in_channels: int, channels: int, stride: int) -> nn.Sequential:
        first = BasicBlock(in_channels, channels, stride)
        return nn.Sequential(first, *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.bn1(self.conv1(inputs)))
        hidden = self.layer3(self.layer2(self.layer1(hidden)))
        logits: Tensor = self.fc(pool(hidden))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """The features of the benchmark, after ReLU."""
        return {"stem": "relu", "block1": "layer1", "block2": "layer2", "block3": "layer3", "pooled": "fc:input"}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """The sums before each stage's last ReLU."""
        return {f"block{k}_preact": f"layer{k}.{self._blocks - 1}.last_relu:input" for k in (1, 2, 3)}


def resnet(depth: int, widths: Sequence[int], *, num_classes: int, in_channels: int = 3) -> ResNet:
    """Return a ResNet.

    Args:
        depth: 6n + 2.
        widths: channels of the stem and the three stages: (16, 16, 32, 64), or (32, 64, 128, 256) of the "x4" nets.
        num_classes: width of the logits.
        in_channels: of the images.

    Examples:
        >>> import torch
        >>> resnet(8, (16, 16, 32, 64), num_classes=10)(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 10])
    """
    return ResNet((depth - 2) // 6, widths, num_classes=num_classes, in_channels=in_channels)
