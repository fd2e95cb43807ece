from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.models import ExpandedMap, create, observe
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.norm import NORM, norm_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_map


def test_definition() -> None:
    student, teacher = closed_form_map(6, 2, 3, 0.1), closed_form_map(3, 4, 6, 0.8)
    total = 0.0
    for b in range(4):
        for k in range(6):
            for u in range(2):
                for v in range(3):
                    its = teacher[b, k % 3, 2 * u : 2 * u + 2, 2 * v : 2 * v + 2].max().item()
                    total += (student[b, k, u, v].item() - its) ** 2
    assert norm_loss(student, teacher, expansion=2).item() == pytest.approx(2 * total / (4 * 6 * 6), rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("norm", number, norm_loss)


def test_by_hand() -> None:
    """Copies that are 1 and 3 away: the sum of 1 and 9."""
    student = torch.tensor([[[[1.0]], [[3.0]]]])
    assert norm_loss(student, torch.zeros(1, 1, 1, 1), expansion=2).item() == 10.0


def context(name: str = "resnet8") -> BuildContext:
    torch.manual_seed(0)
    student, teacher = create(name, num_classes=5).eval(), create("resnet14", num_classes=5).eval()
    inputs = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        return BuildContext(2, 5, observe(student)(inputs), observe(teacher)(inputs), student, teacher)


def test_the_student_has_a_widened_map() -> None:
    built, objective = context(), NORM(expansion=2)
    assert built.model is not None
    assert built.teacher is not None
    student = objective.wrap_student(built.model, built)
    assert isinstance(student, ExpandedMap)
    outputs = observe(student.eval())(torch.randn(2, 3, 32, 32))
    shapes = [{name: tuple(v.shape[1:]) for name, v in out.features.items()} for out in (outputs, built.teacher)]
    assert objective.taps(*shapes) == Taps(("expanded",), ("block3",))
    assert outputs.features["expanded"].shape == (2, 128, 8, 8)
    assert objective.notes() == (
        "the student's last map is widened and brought back, by linear layers that stay in the network",
    )


def test_gradcheck() -> None:
    student, teacher = closed_form_map(4, 2, 2, 0.1), closed_form_map(2, 2, 2, 0.8)
    assert torch.autograd.gradcheck(lambda x: norm_loss(x, teacher, expansion=2), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="student_map: 3 channels, expected expansion 2 times 2"):
        norm_loss(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, 2), expansion=2)
    with pytest.raises(ValueError, match="expansion: 0 is below 1"):
        NORM(expansion=0)
    built = context()
    with pytest.raises(UsageError, match="method norm learns from a teacher, and the run has none"):
        NORM().wrap_student(nn.Identity(), replace(built, teacher=None))
    bare = Outputs(built.student.logits)
    with pytest.raises(UsageError, match="method norm needs feature maps, and the student offers none"):
        NORM().wrap_student(nn.Identity(), replace(built, student=bare))
