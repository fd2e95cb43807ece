from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.fsp import FSP, fsp_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_map, offer


def test_definition() -> None:
    student = [closed_form_map(2, 4, 2, 0.1), closed_form_map(3, 2, 2, 0.3)]
    teacher = [closed_form_map(2, 2, 2, 0.8), closed_form_map(3, 2, 2, 1.1)]
    flows = []
    for first, second in (student, teacher):
        pooled = functional.adaptive_avg_pool2d(first, (2, 2))
        flow = torch.zeros(4, 2, 3, dtype=torch.float64)
        for b in range(4):
            for c in range(2):
                for d in range(3):
                    flow[b, c, d] = sum(pooled[b, c, u, v] * second[b, d, u, v] for u in range(2) for v in range(2)) / 4
        flows.append(flow)
    assert fsp_loss(student, teacher).item() == pytest.approx((flows[0] - flows[1]).square().mean().item(), rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("fsp", number, fsp_loss)


def test_tabulated() -> None:
    student = [closed_form_map(6, 4, 4, 0.1), closed_form_map(6, 2, 2, 0.3)]
    teacher = [closed_form_map(6, 4, 4, 0.8), closed_form_map(6, 2, 2, 1.1)]
    assert fsp_loss(student, teacher).item() == pytest.approx(0.100142359, rel=1e-8)


def test_by_hand() -> None:
    """Flows 1 x 2 and 3 x 2, with a third map 2 x 1 and 2 x 1."""
    maps = [torch.full((1, 1, 2, 2), value) for value in (1.0, 2.0, 1.0)]
    assert fsp_loss(maps, [3 * maps[0], *maps[1:]]).item() == 16.0


def test_opposite_scales_of_neighbours_cancel() -> None:
    student = [closed_form_map(2, 4, 4, 0.1), closed_form_map(3, 4, 4, 0.3)]
    value = fsp_loss(student, [5 * student[0], student[1] / 5])
    assert value.item() == pytest.approx(0, abs=1e-20)


def test_gradcheck() -> None:
    teacher = [closed_form_map(2, 4, 2, 0.8), closed_form_map(3, 2, 2, 1.1)]
    student = [closed_form_map(2, 4, 2, 0.1).requires_grad_(), closed_form_map(3, 2, 2, 0.3).requires_grad_()]
    assert torch.autograd.gradcheck(lambda *maps: fsp_loss(maps, teacher), student)


def test_stem_and_blocks_are_paired_and_a_stage_comes_first() -> None:
    objective = FSP(stage_epochs=7)
    names = offer("stem", "block1", "block2", "pooled")
    assert objective.taps(names, names) == Taps(("stem", "block1", "block2"), ("stem", "block1", "block2"))
    stage = objective.pretraining()
    assert stage is not None
    assert (stage.objective, stage.epochs, stage.trains, stage.lr) == (objective, 7, "network", None)
    assert objective.notes() == ("pairs stem -> stem, block1 -> block1, block2 -> block2 (student -> teacher)",)


def test_without_its_stage_it_says_so() -> None:
    objective = FSP(stage_epochs=0)
    assert objective.pretraining() is None
    assert objective.notes()[1:] == ("no stage: it counts in the run, by its weight alone",)


def test_errors() -> None:
    maps = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 2, 2)]
    with pytest.raises(ValueError, match=r"channels \[2, 3\] and \[3, 2\]; equal, at least two"):
        fsp_loss(maps, maps[::-1])
    with pytest.raises(ValueError, match=r"channels \[2\] and \[2\]; equal, at least two"):
        fsp_loss(maps[:1], maps[:1])
    with pytest.raises(ValueError, match="stage_epochs: -1 is below 0"):
        FSP(stage_epochs=-1)
    objective = FSP()
    names = offer("stem", "block1")
    objective.taps(names, names)
    outputs = [
        Outputs(torch.zeros(2, 3), {"stem": torch.zeros(2, 2, 4, 4), "block1": torch.zeros(2, c, 4, 4)}) for c in (4, 5)
    ]
    with pytest.raises(
        UsageError, match="fsp needs equal channels, and the student's block1 has 4, the teacher's block1 5"
    ):
        objective.build(BuildContext(10, 3, outputs[0], outputs[1]))
    with pytest.raises(UsageError, match="fsp needs feature stem of the teacher, which offers block1"):
        FSP().taps(names, offer("block1"))
    with pytest.raises(UsageError, match="fsp compares neighbouring maps, not block1 -> block2 alone; name two"):
        FSP(pairs={"block1": "block2"}).taps({}, {})
