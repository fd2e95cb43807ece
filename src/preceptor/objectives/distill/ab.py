"""Activation boundaries: the student's neurons should fire where the teacher's do, with a margin.

Source: Heo, Lee, Yun, Choi, "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons" (AAAI 2019,
arXiv 1811.03233), equation 4, scaled as in the CRD benchmark (ICLR 2020): a sum over all elements times 3/1000. Two stages: this
loss alone first, then the labels (so its weight in the run proper is 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.divergences import promote
from preceptor.objectives.base import BuildContext, Stage
from preceptor.objectives.connectors import Regressor
from preceptor.objectives.features import Pairing
from preceptor.objectives.hyperparameters import at_least, positive
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_levels, check_shapes

__all__ = ["AB", "ab_loss"]

_SCALE = 3 / 1000


def ab_loss(
    student_maps: Sequence[Float[Tensor, "batch _ _ _"]],
    teacher_maps: Sequence[Float[Tensor, "batch _ _ _"]],
    *,
    margin: float = 1.0,
) -> Float[Tensor, ""]:
    """Return 3/1000 sum over levels of 2^(i - n + 1) sum hinge^2 / batch, not 0 at equality.

    The hinge is student + margin where the teacher is off (at most 0) and the student above -margin, and margin - student where
    the teacher is on and the student at most margin.

    Args:
        student_maps: before the ReLU, after the connectors, shallow to deep.
        teacher_maps: before the ReLU, of the same shapes; only their signs count.
        margin: above 0.

    Returns:
        a sum over channels and positions, batch mean, so it grows with the maps; 0 where the student is off or on like the
        teacher, by the margin at least.

    Raises:
        ValueError: for lists of different or no length, shapes that differ, or a margin that is not above 0.

    Examples:
        >>> round(ab_loss([torch.zeros(1, 1, 1, 2)], [torch.tensor([[[[1.0, -1.0]]]])]).item(), 6)  # 3/1000 (1 + 1)
        0.006
    """
    margin = positive(margin, "margin")
    check_levels(student_maps, teacher_maps)
    levels = []
    for student, teacher in zip(student_maps, teacher_maps, strict=True):
        check_shapes(student, teacher, "student_maps and teacher_maps", " (after the connectors)")
        mine, is_on = promote(student), teacher > 0
        hinge = torch.where(is_on, (margin - mine).clamp_min(0), (mine + margin).clamp_min(0))
        levels.append(hinge.square().sum() / len(mine))
    depth = len(levels)
    return _SCALE * torch.stack([2.0 ** (level - depth + 1) * value for level, value in enumerate(levels)]).sum()


class AB(PairedObjective):
    """Hinge distance of activation boundaries at all blocks, through connectors where shapes differ."""

    multilabel = "as_is"

    def __init__(self, margin: float = 1.0, stage_epochs: int = 30, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.margin = positive(margin, "margin")
        self.stage_epochs = at_least(stage_epochs, 0, "stage_epochs")
        self.pairing = Pairing("ab", pairs, student_preact=True, teacher_preact=True)
        self.connectors = nn.ModuleList()

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the loss of maps before the ReLU; before `build`, of equal shapes."""
        check_levels(student_maps, teacher_maps)
        connected = [connector(maps) for connector, maps in zip(self.connectors, student_maps, strict=False)]
        return ab_loss(connected or student_maps, teacher_maps, margin=self.margin)

    def build(self, context: BuildContext) -> None:
        """Make the connectors that fit the shapes."""
        connectors: list[nn.Module] = [
            nn.Identity() if student == teacher else Regressor(student, teacher, relu=False)
            for student, teacher in self.pairing.shapes(context)
        ]
        self.connectors = nn.ModuleList(connectors).to(context.student.logits.device)

    def pretraining(self) -> Stage | None:
        """Train the student's maps by this loss alone."""
        return Stage(self, self.stage_epochs) if self.stage_epochs else None

    def notes(self) -> tuple[str, ...]:
        """Name the pairs, and say when there is no stage."""
        alone = () if self.stage_epochs else ("no stage: it counts in the run, by its weight alone",)
        return (*self.pairing.notes(), *alone)
