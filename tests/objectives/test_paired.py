"""An objective on paired maps takes its taps, notes and maps from its pairing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.features import Pairing
from preceptor.objectives.paired import PairedObjective
from preceptor.types import Batch, Outputs, Progress, Step, View


class Distance(PairedObjective):
    def __init__(self) -> None:
        super().__init__()
        self.pairing = Pairing("distance", which="last")

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        return torch.stack([(s - t).abs().mean() for s, t in zip(student_maps, teacher_maps, strict=True)]).sum()


def outputs(value: float, last: str) -> Outputs:
    return Outputs(torch.zeros(2, 3), {"block1": torch.zeros(2, 4, 8, 8), last: torch.full((2, 4, 4, 4), value)})


def test_the_loss_is_of_the_paired_maps() -> None:
    objective, student, teacher = Distance(), outputs(3.0, "block2"), outputs(1.0, "block3")
    shapes = [{name: tuple(value.shape[1:]) for name, value in out.features.items()} for out in (student, teacher)]
    assert objective.taps(*shapes) == Taps(("block2",), ("block3",))
    objective.build(BuildContext(2, 3, student, teacher))
    assert objective.notes() == ("pairs block2 -> block3 (student -> teacher)",)
    batch = Batch(torch.zeros(2, 3), None, torch.arange(2), View("none", 0, 1))
    assert objective.loss(Step(batch, student, teacher, nn.Identity(), Progress(1, 4, 0.0))).item() == 2.0


def test_features_that_are_no_maps_are_refused_when_it_is_built() -> None:
    objective = Distance()
    objective.pairing = Pairing("distance", {"pooled": "pooled"})
    objective.taps({}, {})
    pooled = Outputs(torch.zeros(2, 3), {"pooled": torch.zeros(2, 4)})
    with pytest.raises(UsageError, match="method distance needs maps, and feature pooled of the student"):
        objective.build(BuildContext(2, 3, pooled, pooled))
