"""Flow of the solution procedure: the inner products of channels in neighbouring maps should be the teacher's.

Source: Yim, Joo, Bae, Kim, "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer Learning"
(CVPR 2017), equations 1 and 2. Two stages: this loss alone first, then the labels (so its weight in the run proper is 0; for
one joint stage set stage_epochs=0 and a weight, 50 being ours).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import promote
from preceptor.objectives.base import BuildContext, Stage
from preceptor.objectives.connectors import pool_to_smaller
from preceptor.objectives.features import Pairing
from preceptor.objectives.hyperparameters import at_least
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_neighbours

__all__ = ["FSP", "fsp_loss"]


def fsp_loss(
    student_maps: Sequence[Float[Tensor, "batch _ _ _"]], teacher_maps: Sequence[Float[Tensor, "batch _ _ _"]]
) -> Float[Tensor, ""]:
    """Return sum over neighbouring maps of mean (M_S - M_T)^2, M = mean over positions of f_i f_(i+1)'.

    Args:
        student_maps: in network order, [batch, channels, height, width]; of two neighbours the larger is average-pooled.
        teacher_maps: as many, with the same channels; sizes may differ; constant in the gradient.

    Returns:
        squared distances, each the mean over batch and channel pairs; 0 where the products are equal.

    Raises:
        ValueError: for lists of different length or of fewer than two maps, or channels that differ.

    Examples:
        >>> maps = [torch.ones(1, 2, 4, 4), torch.ones(1, 3, 2, 2)]
        >>> fsp_loss(maps, [2 * maps[0], maps[1]]).item()
        1.0
    """
    check_neighbours(student_maps, teacher_maps)
    flows = zip(_flows(student_maps), _flows([maps.detach() for maps in teacher_maps]), strict=True)
    return torch.stack([(mine - its).square().mean() for mine, its in flows]).sum()


def _flows(maps: Sequence[Tensor]) -> list[Tensor]:
    flows = []
    for before, after in itertools.pairwise(maps):
        one, other = (pooled.flatten(2) for pooled in pool_to_smaller(promote(before), promote(after)))
        with torch.autocast(one.device.type, enabled=False):
            flows.append(one @ other.mT / one.shape[2])
    return flows


class FSP(PairedObjective):
    """Distance between the flows of both networks, stem and blocks; needs equal channels level by level."""

    multilabel = "as_is"

    def __init__(self, stage_epochs: int = 30, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.stage_epochs = at_least(stage_epochs, 0, "stage_epochs")
        self.pairing = Pairing("fsp", pairs, stem=True, neighbours=True)

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the loss of lists of maps [batch, channels, height, width]."""
        return fsp_loss(student_maps, teacher_maps)

    def build(self, context: BuildContext) -> None:
        """Check the channels.

        Raises:
            UsageError: when they differ at some level.
        """
        self.pairing.check_channels(context)

    def pretraining(self) -> Stage | None:
        """Train the student's maps by this loss alone."""
        return Stage(self, self.stage_epochs) if self.stage_epochs else None

    def notes(self) -> tuple[str, ...]:
        """Name the pairs, and say when there is no stage."""
        alone = () if self.stage_epochs else ("no stage: it counts in the run, by its weight alone",)
        return (*self.pairing.notes(), *alone)
