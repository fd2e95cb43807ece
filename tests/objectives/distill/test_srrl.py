from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.models import create, observe
from preceptor.models.zoo.small import ConvNet
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.srrl import SRRL, srrl_loss
from preceptor.types import Outputs
from vectors import assert_golden, offer


def test_definition() -> None:
    h, g, z, w = (torch.randn(shape, dtype=torch.float64) for shape in ((3, 4), (3, 4), (3, 5), (3, 5)))
    features = sum(float(h[i, d] - g[i, d]) ** 2 for i in range(3) for d in range(4)) / 12
    logits = sum(float(z[i, c] - w[i, c]) ** 2 for i in range(3) for c in range(5)) / 15
    assert srrl_loss(h, g, z, w, logit_weight=2.5).item() == pytest.approx(features + 2.5 * logits, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("srrl", number, srrl_loss)


def test_by_hand() -> None:
    value = srrl_loss(torch.ones(1, 2), torch.zeros(1, 2), torch.full((1, 3), 2.0), torch.zeros(1, 3), logit_weight=0.5)
    assert value.item() == 3.0


def networks() -> tuple[ConvNet, ConvNet, Outputs, Outputs]:
    torch.manual_seed(0)
    student = ConvNet([4, 6], 1, num_classes=5, in_channels=3)
    teacher = ConvNet([8, 16], 1, num_classes=5, in_channels=3).eval()
    inputs = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        return student, teacher, observe(student.eval())(inputs), observe(teacher)(inputs)


def built() -> tuple[SRRL, Outputs, Outputs, ConvNet]:
    student, teacher, student_outputs, teacher_outputs = networks()
    objective = SRRL(logit_weight=2.0)
    names = offer("block1", "block2", "pooled")
    assert objective.taps(names, names) == Taps(("block2",), ("pooled",))
    objective.build(BuildContext(10, 5, student_outputs, teacher_outputs, student, teacher))
    return objective, student_outputs, teacher_outputs, teacher


def test_the_teachers_frozen_classifier_reads_the_connected_features() -> None:
    objective, student_outputs, teacher_outputs, teacher = built()
    connected = objective.connector(student_outputs.features["block2"]).mean((2, 3))
    expected = srrl_loss(
        connected,
        teacher_outputs.features["pooled"],
        teacher.classifier(connected),
        teacher_outputs.logits,
        logit_weight=2.0,
    )
    value = objective(student_outputs.features["block2"], teacher_outputs.features["pooled"], teacher_outputs.logits)
    torch.testing.assert_close(value, expected)
    assert {name for name, _ in objective.named_buffers() if "connector" not in name} == {"weight", "bias"}
    assert sum(p.numel() for p in objective.parameters()) == 6 * 16 + 2 * 16
    value.backward()
    assert all(p.grad is not None for p in objective.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_features_like_the_teachers_cost_nothing() -> None:
    _, _, teacher_outputs, teacher = built()
    pooled = teacher_outputs.features["pooled"]
    value = srrl_loss(pooled, pooled, teacher.classifier(pooled), teacher_outputs.logits)
    assert value.item() == pytest.approx(0, abs=1e-10)


def test_gradcheck() -> None:
    h, g, z, w = (torch.randn(shape, dtype=torch.float64) for shape in ((3, 4), (3, 4), (3, 5), (3, 5)))
    assert torch.autograd.gradcheck(lambda a, b: srrl_loss(a, g, b, w), (h.requires_grad_(), z.requires_grad_()))


def test_errors() -> None:
    student, _, student_outputs, teacher_outputs = networks()
    objective = SRRL()
    objective.taps(offer("block1", "block2", "pooled"), offer("block1", "block2", "pooled"))
    with pytest.raises(UsageError, match="srrl reads the classifier of a teacher network, and the run has none"):
        objective.build(BuildContext(10, 5, student_outputs, teacher_outputs, student, None))
    with pytest.raises(UsageError, match="has no linear layer with 5 outputs"):
        objective.build(BuildContext(10, 5, student_outputs, teacher_outputs, student, nn.Linear(3, 4)))
    with pytest.raises(UsageError, match="classifier reads 64 values, its pooled features are 16"):
        objective.build(
            BuildContext(10, 5, student_outputs, teacher_outputs, student, create("resnet8", num_classes=5))
        )
    with pytest.raises(UsageError, match="srrl needs feature pooled of the teacher"):
        SRRL().taps(offer("block1"), offer("block1"))
