"""Networks for small inputs: a multi-layer perceptron, and two convolutional nets for 8x8 images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from pydantic import PositiveInt
from torch import Tensor, nn

from preceptor.models.features.observed import FeatureNetwork
from preceptor.models.zoo.layers import conv3x3, init_kaiming, pool

__all__ = ["MLP", "ConvNet", "convnet", "mlp"]


class MLP(FeatureNetwork):
    """Flattened input, linear layers with ReLU between."""

    def __init__(self, widths: Sequence[int], *, num_classes: int, input_shape: Sequence[int]) -> None:
        super().__init__()
        sizes = [math.prod(input_shape), *widths]
        pairs = list(pairwise(sizes))
        self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(before, after), nn.ReLU()) for before, after in pairs))
        self.classifier = nn.Linear(sizes[-1], num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.layers(inputs.flatten(1)))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """The hidden activations; the last of them is the pooled feature. They are vectors, so no blocks."""
        hidden = {f"hidden{k + 1}": f"layers.{k}" for k in range(len(self.layers))}
        return {**hidden, "pooled": "classifier:input"}


class ConvNet(FeatureNetwork):
    """3x3 conv-BN-ReLU stem and blocks, each block after the first at half the side; average pool, linear."""

    def __init__(self, widths: Sequence[int], repeats: int, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.stem = _conv(in_channels, widths[0], 1)
        blocks = []
        for number, (before, width) in enumerate(zip((widths[0], *widths), widths, strict=False)):
            first = _conv(before, width, 1 if number == 0 else 2)
            blocks.append(nn.Sequential(first, *(_conv(width, width, 1) for _ in range(repeats - 1))))
        self.blocks = nn.Sequential(*blocks)
        self._repeats = repeats
        self.classifier = nn.Linear(widths[-1], num_classes)
        init_kaiming(self)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.classifier(pool(self.blocks(self.stem(inputs))))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """Block outputs after ReLU."""
        blocks = {f"block{k + 1}": f"blocks.{k}" for k in range(len(self.blocks))}
        return {"stem": "stem", **blocks, "pooled": "classifier:input"}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """Block outputs before their last ReLU."""
        return {f"block{k + 1}_preact": f"blocks.{k}.{self._repeats - 1}.1" for k in range(len(self.blocks))}


def mlp(*, num_classes: int, input_shape: Sequence[int], widths: Sequence[PositiveInt] = (128, 128)) -> MLP:
    """Return a multi-layer perceptron.

    Args:
        num_classes: width of the logits.
        input_shape: of one sample, without the batch.
        widths: of the hidden layers.

    Examples:
        >>> import torch
        >>> mlp(num_classes=3, input_shape=(2, 4, 4), widths=[5])(torch.zeros(7, 2, 4, 4)).shape
        torch.Size([7, 3])
    """
    return MLP(widths, num_classes=num_classes, input_shape=input_shape)


def convnet(widths: Sequence[int], repeats: int, *, num_classes: int, in_channels: int = 3) -> ConvNet:
    """Return a small convolutional net with these block widths and convolutions a block."""
    return ConvNet(widths, repeats, num_classes=num_classes, in_channels=in_channels)


def _conv(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(conv3x3(in_channels, channels, stride), nn.BatchNorm2d(channels), nn.ReLU())
