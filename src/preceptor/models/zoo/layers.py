"""What several networks are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["conv3x3", "depthwise3x3", "init_fan_out", "init_kaiming", "pool", "shuffle_channels"]


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution with padding 1 and no bias."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)


class _Depthwise(nn.Conv2d):
    """Stays in its weights' precision where the CPU's bf16 backward pass is up to 40 times slower: strided, or on tiny maps."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the convolved maps."""
        is_slow = self.stride != (1, 1) or min(inputs.shape[2:]) < 3
        if not is_slow or inputs.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(inputs)
        with torch.autocast("cpu", enabled=False):
            return super().forward(inputs.to(self.weight.dtype))


def depthwise3x3(channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution of each channel by itself, with padding 1 and no bias."""
    return _Depthwise(channels, channels, 3, stride, 1, groups=channels, bias=False)


def pool(maps: Tensor) -> Tensor:
    """Return the mean over space, [batch, channels]."""
    return functional.adaptive_avg_pool2d(maps, 1).flatten(1)


def shuffle_channels(maps: Tensor, groups: int) -> Tensor:
    """Interleave `groups` groups of channels (Zhang et al., ShuffleNet, CVPR 2018, figure 1)."""
    batch, channels, height, width = maps.shape
    grouped = maps.reshape(batch, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(batch, channels, height, width)


def init_kaiming(network: nn.Module) -> None:
    """Draw convolutions Kaiming-normal with fan-out; everything else stays as torch makes it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def init_fan_out(network: nn.Module, *, linear_std: float | None = None) -> None:
    """Draw convolutions with standard deviation sqrt(2 / (k^2 out)), linear layers with `linear_std` where given; biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            area = module.kernel_size[0] * module.kernel_size[1]
            nn.init.normal_(module.weight, std=math.sqrt(2 / (area * module.out_channels)))
        if isinstance(module, nn.Linear) and linear_std is not None:
            nn.init.normal_(module.weight, std=linear_std)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
