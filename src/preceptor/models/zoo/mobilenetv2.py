"""MobileNetV2 at half width for 32x32 images, with a stride-2 stem.

Source: Sandler et al., "MobileNetV2" (CVPR 2018); configuration and parameter names as in the CRD benchmark (ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from preceptor.models.features.observed import FeatureNetwork
from preceptor.models.zoo.layers import depthwise3x3, init_fan_out, pool

__all__ = ["MobileNetV2", "mobilenet_v2"]

# expansion, channels at full width, repeats, stride
_GROUPS = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection; a shortcut where the shape stays."""

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self._has_shortcut = stride == 1 and in_channels == channels
        self.conv = nn.Sequential(
            *(nn.Conv2d(in_channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU()),
            *(depthwise3x3(hidden, stride), nn.BatchNorm2d(hidden), nn.ReLU()),
            *(nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels)),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.conv(inputs)
        return inputs + out if self._has_shortcut else out


class MobileNetV2(FeatureNetwork):
    """Stem, seven groups of inverted residuals, 1x1 to 1280 channels, pool, linear."""

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = _conv_bn_relu(in_channels, 16, 3, 2)
        groups, before = [], 16
        for expansion, full_width, repeats, stride in _GROUPS:
            width = full_width // 2
            first = InvertedResidual(before, width, stride, expansion)
            groups.append(
                nn.Sequential(first, *(InvertedResidual(width, width, 1, expansion) for _ in range(repeats - 1)))
            )
            before = width
        self.blocks = nn.Sequential(*groups)
        self.conv2 = _conv_bn_relu(before, 1280, 1, 1)
        self.classifier = nn.Sequential(nn.Linear(1280, num_classes))
        init_fan_out(self, linear_std=0.01)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.classifier(pool(self.conv2(self.blocks(self.conv1(inputs)))))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """After groups 2, 3, 5 and 7; these are linear and can be negative."""
        blocks = {"block1": "blocks.1", "block2": "blocks.2", "block3": "blocks.4", "block4": "blocks.6"}
        return {"stem": "conv1", **blocks, "pooled": "classifier:input"}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """The same maps: no ReLU follows them."""
        return {f"{name}_preact": path for name, path in self.feature_paths.items() if name.startswith("block")}


def mobilenet_v2(*, num_classes: int, in_channels: int = 3) -> MobileNetV2:
    """Return the half-width MobileNetV2."""
    return MobileNetV2(num_classes=num_classes, in_channels=in_channels)


def _conv_bn_relu(in_channels: int, channels: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())
