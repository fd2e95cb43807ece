from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.kd_pp import KDPP, kd_pp_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden, closed_form_vectors

LABELS = torch.tensor([0, 1, 1, 2])
MEANS = closed_form_vectors(3, 2.0)[:3]


def test_definition() -> None:
    student, teacher = closed_form_vectors(3, 0.2), closed_form_vectors(3, 1.0)
    total = 0.0
    for s, t, y in zip(student.tolist(), teacher.tolist(), LABELS.tolist(), strict=True):
        mean = MEANS[y].tolist()
        longest = max(math.hypot(*s), math.hypot(*t))
        total += (1 - sum(a * b for a, b in zip(s, mean, strict=True)) / math.hypot(*mean) / longest) / 4
    assert kd_pp_loss(student, teacher, MEANS, LABELS).item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("kd_pp", number, kd_pp_loss)


def test_by_hand() -> None:
    """s = (0, 3) against m along (3, 4) and |t| = 2: 1 - 4/5."""
    means = torch.tensor([[3.0, 4.0]])
    value = kd_pp_loss(torch.tensor([[0.0, 3.0]]), torch.tensor([[2.0, 0.0]]), means, torch.tensor([0]))
    assert value.item() == pytest.approx(0.2, rel=1e-5)


def test_beyond_the_teachers_norm_only_the_direction_counts() -> None:
    teacher = closed_form_vectors(3, 1.0)
    student = 50 * closed_form_vectors(3, 0.2)
    value = kd_pp_loss(student, teacher, MEANS, LABELS)
    torch.testing.assert_close(kd_pp_loss(7 * student, teacher, MEANS, LABELS), value)


def make(width: int) -> tuple[KDPP, Step]:
    torch.manual_seed(0)
    student, teacher = (Outputs(torch.randn(4, 3), {"pooled": torch.randn(4, dim)}) for dim in (width, 5))
    batch = Batch(torch.zeros(4, 2), LABELS, torch.arange(4), View("none", 0, 1))
    objective = KDPP()
    objective.build(BuildContext(4, 3, student, teacher))
    return objective, Step(batch, student, teacher, nn.Identity(), Progress(1, 2, 0.0))


def test_class_means_are_those_of_the_teacher_over_the_split() -> None:
    objective, step = make(5)
    step = replace(step, student=replace(step.student, features={}))  # as it is there
    unlabelled = replace(step, batch=replace(step.batch, labels=LABELS[:2]))
    objective.calibrate([step, unlabelled])
    assert step.teacher is not None
    rows = step.teacher.features["pooled"]
    torch.testing.assert_close(objective.class_means[0], rows[0])
    torch.testing.assert_close(objective.class_means[1], (2 * rows[1] + rows[2]) / 3)
    assert not any(True for _ in objective.parameters())  # equal widths need no connector
    student = torch.randn(4, 5)
    step = replace(step, student=replace(step.student, features={"pooled": student}))
    torch.testing.assert_close(objective.loss(step), kd_pp_loss(student, rows, objective.class_means, LABELS))


def test_other_widths_are_connected_and_a_batch_of_one_is_skipped() -> None:
    objective, step = make(7)
    objective.calibrate([step])
    assert sum(each.numel() for each in objective.parameters()) == 2 * 7 + 7 * 5 + 5
    with pytest.warns(UserWarning, match="kd_pp skips a batch of one"):
        assert objective.loss(step.rows(0, 1)).item() == 0
    assert objective.eval().loss(step.rows(0, 1)).item() > 0


def test_zero_vectors_have_a_gradient() -> None:
    student = torch.zeros(2, 3, requires_grad=True)
    kd_pp_loss(student, torch.zeros(2, 3), MEANS.float(), LABELS[:2]).backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_gradcheck() -> None:
    student, teacher = closed_form_vectors(3, 0.2), closed_form_vectors(3, 1.0)
    assert torch.autograd.gradcheck(lambda x: kd_pp_loss(x, teacher, MEANS, LABELS), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="kd_pp has no class means yet"):
        KDPP()(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"shapes \(4, 3\) and \(4, 2\) differ \(after the connector\)"):
        inspect.unwrap(kd_pp_loss)(torch.zeros(4, 3), torch.zeros(4, 2), MEANS, LABELS)
    objective, step = make(5)
    with pytest.raises(UsageError, match="learns from a teacher, and the run has none"):
        objective.calibrate([replace(step, teacher=None)])
