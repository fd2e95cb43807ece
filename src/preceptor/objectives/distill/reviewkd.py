"""Knowledge review: the student's deep maps, fused into its shallow ones, should give the teacher's at every level.

Source: Chen, Liu, Zhao, Jia, "Distilling Knowledge via Knowledge Review" (CVPR 2021, arXiv 2104.09044), sections 3.2 (attention
based fusion) and 3.3 (hierarchical context loss). Its weight depends on the pair: see the presets.
Differs from the authors' code: blocks are paired by resolution where the numbers differ; a batch of one is skipped while
training, since the batch-norm of a pooled feature has no variance there.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps
from preceptor.objectives.connectors import pool_to
from preceptor.objectives.features import Pairing, pooled_features, pooled_taps, pooled_widths
from preceptor.objectives.hyperparameters import at_least
from preceptor.objectives.tensor_checks import check_levels
from preceptor.types import Step

__all__ = ["ReviewKD", "reviewkd_loss"]


def reviewkd_loss(
    student_maps: Sequence[Float[Tensor, "batch _ _ _"]], teacher_maps: Sequence[Float[Tensor, "batch _ _ _"]]
) -> Float[Tensor, ""]:
    """Return sum over levels of (MSE + sum_l w_l MSE of maps pooled to l x l) / (1 + sum_l w_l), l = 4, 2, 1 below the height.

    Args:
        student_maps: fused, one per level.
        teacher_maps: of the same shapes; constant in the gradient.

    Returns:
        mean squared differences; 0 where all maps are equal. The weights 1/2, 1/4, 1/8 go to the sizes used, in turn.

    Raises:
        ValueError: for lists of different or no length, or shapes that differ.

    Examples:
        >>> reviewkd_loss([torch.ones(1, 1, 2, 2)], [torch.zeros(1, 1, 2, 2)]).item()
        1.0
    """
    shapes = [[tuple(maps.shape) for maps in side] for side in (student_maps, teacher_maps)]
    if shapes[0] != shapes[1] or not student_maps:
        raise ValueError(f"student_maps and teacher_maps: shapes {shapes[0]} and {shapes[1]}; equal, at least one")
    levels = []
    for student, teacher in zip(student_maps, teacher_maps, strict=True):
        mine, its = promote(student), promote(teacher.detach())
        value, weight, total = (mine - its).square().mean(), 1.0, 1.0
        for side in (size for size in (4, 2, 1) if size < mine.shape[2]):
            weight /= 2
            pooled = pool_to(mine - its, (side, side))
            value, total = value + weight * pooled.square().mean(), total + weight
        levels.append(value / total)
    return torch.stack(levels).sum()


class Fusion(nn.Module):
    """Attention-based fusion of a map with the one from the level below it."""

    def __init__(self, channels: int, mid: int, out_shape: Sequence[int], *, is_deepest: bool) -> None:
        super().__init__()
        out_channels, *size = out_shape
        self._size = (size[0], size[1])
        self.narrow = nn.Sequential(nn.Conv2d(channels, mid, 1, bias=False), nn.BatchNorm2d(mid))
        self.widen = nn.Sequential(nn.Conv2d(mid, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels))
        self.attention = None if is_deepest else nn.Sequential(nn.Conv2d(2 * mid, 2, 1), nn.Sigmoid())
        for layer in (self.narrow[0], self.widen[0]):
            assert isinstance(layer, nn.Conv2d)
            nn.init.kaiming_uniform_(layer.weight, a=1)

    def forward(self, maps: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the level's output and what is passed on."""
        fused = self.narrow(maps)
        if self.attention is not None:
            assert deeper is not None
            below = functional.interpolate(deeper, size=fused.shape[2:], mode="nearest")
            shares = self.attention(torch.cat([fused, below], dim=1))
            fused = fused * shares[:, :1] + below * shares[:, 1:]
        if tuple(fused.shape[2:]) != self._size:
            fused = functional.interpolate(fused, size=self._size, mode="nearest")
        return self.widen(fused), fused


class ReviewKD(Objective):
    """Hierarchical distance of the student's fused maps to the teacher's before the ReLU, and of pooled features."""

    multilabel = "as_is"

    def __init__(self, mid_channels: int = 512, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.mid_channels = at_least(mid_channels, 1, "mid_channels")
        self.pairing = Pairing("reviewkd", pairs, teacher_preact=True)
        self.fusions = nn.ModuleList()
        self._has_warned = False

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the loss of maps, shallow to deep, the pooled features as 1 x 1 maps last; after `build`."""
        check_levels(student_maps, teacher_maps)
        if self.training and len(student_maps[0]) == 1:
            if not self._has_warned:
                self._has_warned = True
                warnings.warn("reviewkd skips a batch of one: its batch-norms have no variance there", stacklevel=2)
            return promote(student_maps[0][:0]).sum()  # 0, with a gradient of 0
        outputs: list[Tensor] = []
        deeper: Tensor | None = None
        for fusion, maps in zip(self.fusions, reversed(student_maps), strict=True):
            output, deeper = fusion(maps, deeper)
            outputs.insert(0, promote(output))
        return reviewkd_loss(outputs, [promote(maps) for maps in teacher_maps])

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Pair the blocks, or as the user chose, and the pooled features."""
        maps, pooled = self.pairing.taps(student, teacher), pooled_taps(student, teacher, "reviewkd")
        return Taps(maps.student + pooled.student, maps.teacher + pooled.teacher)

    def build(self, context: BuildContext) -> None:
        """Make a fusion for each level, the deepest first."""
        shapes = self.pairing.shapes(context)
        width, its_width = pooled_widths(context)
        shapes.append(((width, 1, 1), (its_width, 1, 1)))
        mid = min(self.mid_channels, width)
        fusions = [
            Fusion(mine[0], mid, its, is_deepest=level == 0) for level, (mine, its) in enumerate(reversed(shapes))
        ]
        self.fusions = nn.ModuleList(fusions).to(context.student.logits.device)

    def notes(self) -> tuple[str, ...]:
        """Name the pairs and the size of the fusions."""
        size = sum(parameter.numel() for parameter in self.fusions.parameters())
        return (*self.pairing.notes(), f"fusions of {size:,} parameters, trained with the student")

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        mine, its = self.pairing.maps(step)
        pooled, its_pooled = (features[:, :, None, None] for features in pooled_features(step))
        return self([*mine, pooled], [*its, its_pooled])
