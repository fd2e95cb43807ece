"""VGG nets for CIFAR, with batch-norm, five blocks and one linear layer.

Source: Simonyan, Zisserman (ICLR 2015); widths and parameter names as in the CRD benchmark (ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from preceptor.models.features.observed import FeatureNetwork
from preceptor.models.zoo.layers import init_fan_out, pool

__all__ = ["VGG", "vgg"]

_REPEATS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


class VGG(FeatureNetwork):
    """Five blocks of 3x3 convolutions; max-pool before blocks 1 to 3, and before block 4 for 64x64 images."""

    def __init__(self, repeats: Sequence[int], *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        inputs = (in_channels, *_WIDTHS[:-1])
        blocks = [_block(n, before, width) for n, before, width in zip(repeats, inputs, _WIDTHS, strict=True)]
        self.block0, self.block1, self.block2, self.block3, self.block4 = blocks
        self.relu0, self.relu1, self.relu2, self.relu3, self.relu4 = (nn.ReLU() for _ in range(5))
        self.classifier = nn.Linear(_WIDTHS[-1], num_classes)
        init_fan_out(self, linear_std=0.01)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.relu0(self.block0(inputs))
        hidden = self.relu1(self.block1(functional.max_pool2d(hidden, 2)))
        hidden = self.relu2(self.block2(functional.max_pool2d(hidden, 2)))
        hidden = self.relu3(self.block3(functional.max_pool2d(hidden, 2)))
        if inputs.shape[-1] == 64:
            hidden = functional.max_pool2d(hidden, 2)
        logits: Tensor = self.classifier(pool(self.relu4(self.block4(hidden))))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """Block outputs after ReLU, before pooling."""
        blocks = {f"block{k}": f"relu{k}" for k in (1, 2, 3, 4)}
        return {"stem": "relu0", **blocks, "pooled": "classifier:input"}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """Block outputs before ReLU."""
        return {f"block{k}_preact": f"block{k}" for k in (1, 2, 3, 4)}


def vgg(depth: int, *, num_classes: int, in_channels: int = 3) -> VGG:
    """Return VGG of depth 8, 11, 13, 16 or 19."""
    return VGG(_REPEATS[depth], num_classes=num_classes, in_channels=in_channels)


def _block(repeats: int, in_channels: int, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(repeats):
        if number:
            layers.append(nn.ReLU())
        layers += [
            nn.Conv2d(in_channels if number == 0 else channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        ]
    return nn.Sequential(*layers)
