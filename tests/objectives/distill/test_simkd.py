from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models import ReusedClassifier, create, observe
from preceptor.models.zoo.small import ConvNet
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.simkd import SimKD, simkd_loss
from vectors import assert_golden, closed_form_map


def test_definition() -> None:
    student, teacher = closed_form_map(3, 2, 4, 0.1), closed_form_map(3, 2, 4, 0.8)
    total = 0.0
    for b in range(4):
        for c in range(3):
            for u in range(2):
                for v in range(4):
                    total += float(student[b, c, u, v] - teacher[b, c, u, v]) ** 2
    assert simkd_loss(student, teacher).item() == pytest.approx(total / (4 * 3 * 2 * 4), rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("simkd", number, simkd_loss)


def test_by_hand() -> None:
    assert simkd_loss(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0, 2.0]]]])).item() == 2.0


def test_the_larger_side_is_pooled() -> None:
    student, teacher = closed_form_map(3, 4, 2, 0.1), closed_form_map(3, 2, 4, 0.8)
    pooled = [functional.adaptive_avg_pool2d(maps, (2, 2)) for maps in (student, teacher)]
    torch.testing.assert_close(simkd_loss(student, teacher), simkd_loss(pooled[0], pooled[1]))


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 2, 3, 0.1), closed_form_map(2, 2, 3, 0.8)
    assert torch.autograd.gradcheck(lambda maps: simkd_loss(maps, teacher), student.requires_grad_())


def _setting(student: nn.Module, teacher: nn.Module, side: int = 16) -> BuildContext:
    inputs = torch.randn(2, 3, side, side)
    with torch.no_grad():
        student_outputs, teacher_outputs = observe(student.eval())(inputs), observe(teacher.eval())(inputs)
    return BuildContext(10, 5, student_outputs, teacher_outputs, student, teacher)


def test_the_student_becomes_backbone_projector_and_the_teachers_frozen_classifier() -> None:
    torch.manual_seed(0)
    student = ConvNet([4, 6], 1, num_classes=5, in_channels=3)
    teacher = ConvNet([8, 16, 32], 1, num_classes=5, in_channels=3)
    objective, context = SimKD(), _setting(student, teacher)
    model = objective.wrap_student(student, context)
    assert isinstance(model, ReusedClassifier)
    assert objective.taps(
        {"block1": (4, 16, 16), "block2": (6, 8, 8), "projected": (32, 4, 4)},
        {"block1": (8, 16, 16), "block2": (16, 8, 8), "block3": (32, 4, 4)},
    ) == Taps(("projected",), ("block3",))
    inputs = torch.randn(3, 3, 16, 16)
    outputs = observe(model.eval())(inputs)
    assert outputs.features["projected"].shape == (3, 32, 4, 4)  # pooled from 8 x 8 to the teacher's size
    expected = functional.linear(
        outputs.features["projected"].mean((2, 3)), teacher.classifier.weight, teacher.classifier.bias
    )
    torch.testing.assert_close(outputs.logits, expected)
    assert not any(parameter.requires_grad for parameter in model.classifier.parameters())
    projector = 6 * 16 + 16 * 16 * 9 + 16 * 32 + 2 * (16 + 16 + 32)
    assert sum(p.numel() for p in model.projector.parameters()) == projector


def test_a_map_like_the_teachers_gives_the_teachers_logits() -> None:
    """The identity behind the method: equal last maps are equal logits."""
    torch.manual_seed(0)
    teacher = ConvNet([8, 16], 1, num_classes=5, in_channels=3).eval()
    model = SimKD().wrap_student(ConvNet([4, 6], 1, num_classes=5, in_channels=3), _setting(teacher, teacher)).eval()
    assert isinstance(model, ReusedClassifier)
    inputs = torch.randn(3, 3, 16, 16)
    outputs = observe(teacher)(inputs)
    torch.testing.assert_close(model.classifier(outputs.features["block2"].mean((2, 3))), outputs.logits)


def test_errors() -> None:
    with pytest.raises(ValueError, match="2 and 3 channels"):
        inspect.unwrap(simkd_loss)(torch.zeros(1, 2, 2, 2), torch.zeros(1, 3, 2, 2))
    with pytest.raises(ValueError, match="bottleneck: 0 is below 1"):
        SimKD(bottleneck=0)
    student = ConvNet([4, 6], 1, num_classes=5, in_channels=3)
    wide = create("MobileNetV2", num_classes=5)
    with pytest.raises(UsageError, match="classifier reads 1280 values, and its last map block4 has 160 channels"):
        SimKD().wrap_student(student, _setting(student, wide, side=32))
    with pytest.raises(UsageError, match="simkd reuses the classifier of a teacher network, and the run has none"):
        SimKD().wrap_student(student, BuildContext(10, 5, observe(student)(torch.randn(2, 3, 16, 16)), None, student))
