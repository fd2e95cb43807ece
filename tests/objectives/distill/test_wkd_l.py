from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.wkd_l import WKDL, wkd_l_loss
from preceptor.types import Outputs, Progress
from vectors import assert_golden, closed_form_logits, softmax_rows

COST = (torch.arange(5.0).double()[:, None] - torch.arange(5.0).double()).abs() / 8


def test_definition() -> None:
    student, teacher, labels = closed_form_logits()
    total = 0.0
    for row, y in enumerate(labels.tolist()):
        total -= softmax_rows(teacher)[row][y] * math.log(softmax_rows(student)[row][y]) / 4
        others = [c for c in range(5) if c != y]
        a, b = (softmax_rows(z[[row]][:, others], 2.0)[0] for z in (student, teacher))
        moves = [[COST[i, j].item() + 1e-8 for j in others] for i in others]
        kernel = [[math.exp(-move / 0.05) for move in line] for line in moves]
        u = [0.25] * 4
        for _ in range(10):
            v = [b[j] / (sum(kernel[i][j] * u[i] for i in range(4)) + 1e-8) for j in range(4)]
            u = [a[i] / (sum(kernel[i][j] * v[j] for j in range(4)) + 1e-8) for i in range(4)]
        total += 30 * sum(u[i] * kernel[i][j] * v[j] * moves[i][j] for i in range(4) for j in range(4)) / 4
    value = wkd_l_loss(student, teacher, labels, COST, wasserstein_weight=30.0, temperature=2.0)
    assert value.item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("wkd_l", number, wkd_l_loss)


def test_by_hand() -> None:
    """All other probability must move from class 1 to class 2, at cost 0.3."""
    student, teacher = torch.tensor([[0.0, 900.0, 0.0]]).double(), torch.tensor([[0.0, 0.0, 900.0]]).double()
    cost = 0.3 * (1 - torch.eye(3).double())
    far, near = (
        wkd_l_loss(student, its, torch.tensor([0]), cost, wasserstein_weight=1.0, temperature=1.0).item()
        for its in (teacher, student)
    )
    assert far - near == pytest.approx(0.3, rel=1e-4)


def test_the_transport_fades_along_half_a_cosine() -> None:
    objective = WKDL(decay_start=150 / 240)
    shares = {epoch: objective.share(Progress(epoch, 240, 0.0)) for epoch in (1, 150, 195, 240)}
    assert shares == pytest.approx({1: 1.0, 150: 1.0, 195: 0.5, 240: 0.0})
    assert WKDL(decay_start=None).share(Progress(240, 240, 0.99)) == 1.0


def test_moves_between_classes_that_the_teacher_weighs_alike_are_cheap() -> None:
    teacher = nn.Linear(2, 3)
    with torch.no_grad():
        teacher.weight.copy_(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))
    out = Outputs(torch.zeros(2, 3))
    objective = WKDL()
    objective.build(BuildContext(2, 3, out, out, teacher_model=teacher))
    far = 1 - math.exp(-1)
    torch.testing.assert_close(objective.cost, torch.tensor([[0, 0, far], [0, 0, far], [far, far, 0]]))


def test_gradcheck() -> None:
    student, teacher, labels = closed_form_logits()
    assert torch.autograd.gradcheck(
        lambda z: wkd_l_loss(z, teacher, labels, COST, wasserstein_weight=5.0, iterations=3), student.requires_grad_()
    )


def test_errors() -> None:
    with pytest.raises(UsageError, match="wkd_l reads the classifier of a teacher network, and the run has none"):
        WKDL().build(BuildContext(2, 3, Outputs(torch.zeros(2, 3)), None))
    for name in ("temperature", "regularisation"):
        with pytest.raises(ValueError, match=f"{name}: 0 is not above 0"):
            WKDL(**{name: 0})
    with pytest.raises(ValueError, match="iterations: 0 is below 1"):
        WKDL(iterations=0)
