"""What methods on an image and its three rotations share: the views in order, and classifiers on every block."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.types import Outputs

__all__ = ["HSAKD_HEADS", "ROTATIONS", "BlockClassifiers", "all_views"]

HSAKD_HEADS = "hsakd_heads"  # the file of a teacher's joint classifiers

ROTATIONS = ("rotated_90", "rotated_180", "rotated_270")


def all_views(outputs: Outputs) -> list[Outputs]:
    """Return the outputs for the upright images and for each rotation, in order."""
    return [outputs, *(outputs.views[name] for name in ROTATIONS)]


class BlockClassifiers(nn.Module):
    """A classifier on each of a network's blocks: a residual block for each block that follows, average pooling, linear.

    Args:
        shapes: [channels, height, width] of the blocks, shallow to deep.
        num_joint: classes of each classifier.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], num_joint: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(self._head(shapes[level:], num_joint) for level in range(len(shapes)))

    @staticmethod
    def _head(shapes: Sequence[tuple[int, ...]], num_joint: int) -> nn.Sequential:
        following = [*itertools.pairwise(shapes)] or [(shapes[0], shapes[0])]
        blocks = [_Residual(a[0], b[0], max(1, round(a[1] / b[1]))) for a, b in following]
        width = following[-1][1][0]
        end = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(*blocks, end, nn.Linear(width, num_joint))

    def only(self, levels: Sequence[int]) -> BlockClassifiers:
        """Return the classifiers of some levels."""
        chosen = BlockClassifiers([], 0)
        chosen.levels = nn.ModuleList(self.levels[level] for level in levels)
        return chosen

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the joint logits [rows, num_joint] of each level."""
        return [promote(level(block)) for level, block in zip(self.levels, maps, strict=True)]


class _Residual(nn.Module):
    """Two 3x3 convolutions with batch-norm, and a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()),
            *(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(torch.add(self.body(maps), self.shortcut(maps)))
