"""Wide ResNets for CIFAR.

Source: Zagoruyko, Komodakis, "Wide Residual Networks" (BMVC 2016); parameter names as in the CRD benchmark (ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from preceptor.models.features.observed import FeatureNetwork
from preceptor.models.zoo.layers import conv3x3, init_fan_out, pool

__all__ = ["WideResNet", "wrn"]


class PreactBlock(nn.Module):
    """BN-ReLU-conv-BN-ReLU-conv plus a shortcut; where channels change, both branches start from the activated input."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels)
        self.convShortcut = (  # the name in published checkpoints
            None if in_channels == channels else nn.Conv2d(in_channels, channels, 1, stride, bias=False)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        active = self.relu1(self.bn1(inputs))
        shortcut = inputs if self.convShortcut is None else self.convShortcut(active)
        out: Tensor = shortcut + self.conv2(self.relu2(self.bn2(self.conv1(active))))
        return out


class Stage(nn.Module):
    """A sequence of blocks, under the name in published checkpoints."""

    def __init__(self, blocks: int, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        first = PreactBlock(in_channels, channels, stride)
        self.layer = nn.Sequential(first, *(PreactBlock(channels, channels, 1) for _ in range(blocks - 1)))

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.layer(inputs)
        return out


class WideResNet(FeatureNetwork):
    """16-channel stem, three stages of (depth - 4) / 6 blocks at 16k, 32k, 64k channels, BN-ReLU, pool, linear."""

    def __init__(self, depth: int, widen: int, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        self.conv1 = conv3x3(in_channels, 16)
        self.block1 = Stage(blocks, 16, 16 * widen, 1)
        self.block2 = Stage(blocks, 16 * widen, 32 * widen, 2)
        self.block3 = Stage(blocks, 32 * widen, 64 * widen, 2)
        self.bn1 = nn.BatchNorm2d(64 * widen)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(64 * widen, num_classes)
        init_fan_out(self)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.block3(self.block2(self.block1(self.conv1(inputs))))
        logits: Tensor = self.fc(pool(self.relu(self.bn1(hidden))))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """The features of the benchmark; block3 is taken before the last BN-ReLU, so it can be negative."""
        return {"stem": "conv1", "block1": "block1", "block2": "block2", "block3": "block3", "pooled": "fc:input"}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """Block outputs after the batch-norm that opens what follows them."""
        opening = {"block1_preact": "block2.layer.0.bn1", "block2_preact": "block3.layer.0.bn1"}
        return {**opening, "block3_preact": "bn1"}


def wrn(depth: int, widen: int, *, num_classes: int, in_channels: int = 3) -> WideResNet:
    """Return WRN-depth-widen; depth = 6n + 4."""
    return WideResNet(depth, widen, num_classes=num_classes, in_channels=in_channels)
