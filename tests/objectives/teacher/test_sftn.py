from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models import observe
from preceptor.models.zoo.small import MLP, ConvNet
from preceptor.objectives.base import BuildContext
from preceptor.objectives.teacher.cross_entropy import cross_entropy_loss
from preceptor.objectives.teacher.sftn import SFTN, sftn_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import closed_form_logits, offer, softmax_rows


@pytest.mark.parametrize("kl_direction", ["student_to_teacher", "teacher_to_student"])
def test_definition(kl_direction: Any) -> None:
    teacher, branch, labels = closed_form_logits()
    total = 0.0
    for its, mine in zip(softmax_rows(teacher, 2.0), softmax_rows(branch, 2.0), strict=True):
        first, second = (mine, its) if kl_direction == "student_to_teacher" else (its, mine)
        total += 3 * 4 * sum(p * math.log(p / q) for p, q in zip(first, second, strict=True)) / 4
    total += cross_entropy_loss(branch, labels).item()
    value = sftn_loss(teacher, [branch, branch], labels, temperature=2.0, kl_direction=kl_direction)
    assert value.item() == pytest.approx(total, rel=1e-9)


def test_by_hand() -> None:
    """p = (1/2, 1/2), branch (1/4, 3/4), label 0: KL(branch, p) = log 2 - (2 log 2 - 3/4 log 3); CE log 4."""
    teacher, branch = torch.zeros(1, 2), torch.tensor([[0.0, math.log(3.0)]])
    value = sftn_loss(teacher, [branch], torch.tensor([0]), temperature=1.0)
    assert value.item() == pytest.approx(3 * (0.75 * math.log(3) - math.log(2)) + math.log(4), rel=1e-5)


@pytest.mark.parametrize("kl_direction", ["student_to_teacher", "teacher_to_student"])
def test_gradients_reach_both_sides(kl_direction: Any) -> None:
    teacher, branch, labels = closed_form_logits()

    def loss(z: Tensor, b: Tensor) -> Tensor:
        return sftn_loss(z, [b], labels, kl_direction=kl_direction)

    assert torch.autograd.gradcheck(loss, (teacher.requires_grad_(), branch.requires_grad_()))
    loss(teacher, branch).backward()
    assert teacher.grad is not None
    assert teacher.grad.abs().max() > 1e-3


def make(channels: int = 3) -> tuple[SFTN, Step]:
    torch.manual_seed(0)
    model = ConvNet([3, 6, 9], 1, num_classes=3, in_channels=1)
    inputs = torch.randn(4, 1, 16, 16)
    objective = SFTN(student="small")
    names = objective.taps(
        {name: tuple(v.shape[1:]) for name, v in observe(model)(inputs).features.items()}, {}
    ).student
    assert names == ("block1", "block2")
    outputs: Outputs = observe(model, names)(inputs)
    objective.build(
        BuildContext(4, 3, outputs, None, model=model, inputs=inputs[:2], new_network=lambda name: student())
    )
    batch = Batch(inputs, torch.tensor([0, 1, 2, 0]), torch.arange(4), View("none", 0, 1))
    return objective, Step(batch, outputs, None, model, Progress(1, 2, 0.0))


def student() -> ConvNet:
    return ConvNet([2, 4, 6], 1, num_classes=3, in_channels=1)


def test_branches_teach_the_teachers_blocks() -> None:
    objective, step = make()
    assert objective.notes() == ("branches of small behind block1, block2",)
    objective.loss(step).backward()
    first = step.model.get_submodule("blocks.0")
    assert all(parameter.grad is not None for parameter in first.parameters())
    for branch in objective.branches:
        for parameter in branch.parameters():
            assert (parameter.grad is not None) == parameter.requires_grad
    frozen = [sum(not p.requires_grad for p in branch.parameters()) for branch in objective.branches]
    assert 0 < frozen[0] < frozen[1]


def test_without_weights_of_its_own_nothing_is_left() -> None:
    teacher, branch, labels = closed_form_logits()
    assert sftn_loss(teacher, [branch], labels, kl_weight=0.0, branch_weight=0.0).item() == 0
    mixed = 0.3 * functional.one_hot(labels, 5).double() + 0.7 / 5
    assert torch.isfinite(sftn_loss(teacher, [branch], mixed))


def test_errors() -> None:
    with pytest.raises(ValueError, match="branch_logits: needs at least one branch, got none"):
        sftn_loss(torch.zeros(1, 2), [], torch.tensor([0]))
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        SFTN(temperature=0)
    with pytest.raises(UsageError, match="sftn needs feature block2 of the teacher, which offers block1, pooled"):
        SFTN().taps(offer("block1", "pooled"), {})
    objective, step = make()
    context = BuildContext(4, 3, step.student, None, inputs=torch.zeros(2, 16), new_network=without_blocks)
    with pytest.raises(UsageError, match="sftn needs a student of two blocks or more, and it offers hidden1, pooled"):
        objective.build(context)


def without_blocks(name: str | None) -> MLP:
    return MLP([4], num_classes=3, input_shape=(16,))
