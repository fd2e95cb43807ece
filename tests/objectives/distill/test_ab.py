from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.connectors import Regressor
from preceptor.objectives.distill.ab import AB, ab_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_map, offer


def test_definition() -> None:
    levels = [
        (closed_form_map(2, 2, 3, 0.1), closed_form_map(2, 2, 3, 0.8)),
        (closed_form_map(3, 2, 2, 0.3), closed_form_map(3, 2, 2, 1.1)),
    ]
    total = 0.0
    for level, (student, teacher) in enumerate(levels):
        for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True):
            off, on = (s + 0.5) ** 2 * (s > -0.5) * (t <= 0), (s - 0.5) ** 2 * (s <= 0.5) * (t > 0)
            total += 2.0 ** (level - 1) * (off + on)
    value = ab_loss([s for s, _ in levels], [t for _, t in levels], margin=0.5)
    assert value.item() == pytest.approx(0.003 * total / 4, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ab", number, ab_loss)


def test_tabulated() -> None:
    student = [closed_form_map(6, 4, 4, 0.1), closed_form_map(6, 2, 2, 0.3)]
    teacher = [closed_form_map(6, 4, 4, 0.8), closed_form_map(6, 2, 2, 1.1)]
    assert ab_loss(student, teacher).item() == pytest.approx(0.1108624273, rel=1e-8)


def test_by_hand() -> None:
    """On where the teacher is off: (2 + 1)^2; off where it is on: (-1 - 1)^2; by the margin on the right side: 0."""
    student, teacher = torch.tensor([[[[2.0, -1.0, 1.0, -3.0]]]]), torch.tensor([[[[-1.0, 5.0, 0.1, 0.0]]]])
    assert ab_loss([student], [teacher]).item() == pytest.approx(0.003 * (9 + 4))


def test_only_the_teachers_signs_count() -> None:
    student, teacher = closed_form_map(3, 2, 2, 0.1), closed_form_map(3, 2, 2, 0.8)
    torch.testing.assert_close(ab_loss([student], [100 * teacher]), ab_loss([student], [teacher]))


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 2, 3, 0.1), closed_form_map(2, 2, 3, 0.8)
    assert torch.autograd.gradcheck(lambda maps: ab_loss([maps], [teacher]), student.requires_grad_())


def test_maps_before_the_relu_through_connectors_where_shapes_differ() -> None:
    objective = AB(stage_epochs=3)
    names = offer("block1", "block1_preact", "block2", "block2_preact")
    before = ("block1_preact", "block2_preact")
    assert objective.taps(names, names) == Taps(before, before)
    outputs = [
        Outputs(torch.zeros(2, 3), {before[0]: torch.randn(2, 4, 8, 8), before[1]: torch.randn(2, c, 4, 4)})
        for c in (6, 9)
    ]
    objective.build(BuildContext(10, 3, outputs[0], outputs[1]))
    assert isinstance(objective.connectors[0], nn.Identity)
    assert isinstance(objective.connectors[1], Regressor)
    objective([outputs[0].features[n] for n in before], [outputs[1].features[n] for n in before]).backward()
    assert all(p.grad is not None for p in objective.parameters())
    stage = objective.pretraining()
    assert stage is not None
    assert (stage.objective, stage.epochs, stage.trains) == (objective, 3, "network")


def test_without_its_stage_it_says_so() -> None:
    objective = AB(stage_epochs=0)
    assert objective.pretraining() is None
    assert objective.notes()[1:] == ("no stage: it counts in the run, by its weight alone",)


def test_errors() -> None:
    maps = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="student_maps and teacher_maps: 0 and 0 levels"):
        ab_loss([], [])
    with pytest.raises(ValueError, match=r"shapes \(1, 1, 2, 2\) and \(1, 2, 2, 2\) differ"):
        ab_loss([maps], [torch.zeros(1, 2, 2, 2)])
    with pytest.raises(ValueError, match="margin: 0 is not above 0"):
        AB(margin=0)
    with pytest.raises(ValueError, match="stage_epochs: -1 is below 0"):
        AB(stage_epochs=-1)
    with pytest.raises(UsageError, match="ab needs feature maps before the last ReLU, and the student offers block1"):
        AB().taps(offer("block1"), offer("block1_preact"))
