from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.models import create, observe
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.dkd import dkd_loss
from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.distill.sdd import SDD, sdd_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden


def regions() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(3, 4, 5).double(), 2 * torch.randn(3, 4, 5).double(), torch.tensor([2, 0, 1])


@pytest.mark.parametrize("base", ["kd", "dkd"])
@pytest.mark.parametrize("floor", [None, 0.2])
def test_definition(base: str, floor: float | None) -> None:
    student, teacher, labels = regions()
    total = 0.0
    for row in range(3):
        on_image = teacher[row, :, 0].argmax() == labels[row]
        for region in range(5):
            weight = 1.0 if (teacher[row, :, region].argmax() == labels[row]) == on_image else 2.0
            if floor is not None:
                top = torch.softmax(teacher[row, :, region] / 4, 0).max().item()
                weight *= floor + (1 - floor) * ((top - 0.25) / 0.75) ** 2
            mine, its = student[[row], :, region], teacher[[row], :, region]
            loss = kd_loss(mine, its) if base == "kd" else dkd_loss(mine, its, labels[[row]], nontarget_weight=3.0)
            total += weight * loss.item() / 15
    found = sdd_loss(
        student,
        teacher,
        labels,
        base=base,  # type: ignore[arg-type]
        nontarget_weight=3.0,
        reliability_floor=floor,
        reliability_power=2.0,
    )
    assert found.item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_golden(number: int) -> None:
    assert_golden("sdd", number, sdd_loss)


def test_by_hand() -> None:
    """The image is judged right by the teacher, the region wrong: KL log 2 counts twice there."""
    student, teacher = torch.zeros(1, 2, 2), torch.tensor([[[1e3, 0.0], [0.0, 1e3]]])
    value = sdd_loss(student, teacher, torch.tensor([0]), temperature=1.0)
    assert value.item() == pytest.approx(1.5 * math.log(2), rel=1e-6)


def context(name: str = "resnet8", teacher: str = "wrn_16_1") -> tuple[BuildContext, Step]:
    torch.manual_seed(0)
    networks = [create(each, num_classes=5).eval() for each in (name, teacher)]
    inputs = torch.randn(2, 3, 32, 32)
    every = [(*network.feature_paths, *network.preactivation_paths) for network in networks]  # type: ignore[union-attr, operator, misc]
    with torch.no_grad():
        mine, its = (observe(net, names)(inputs) for net, names in zip(networks, every, strict=True))
    batch = Batch(inputs, torch.tensor([0, 3]), torch.arange(2), View("none", 0, 1))
    built = BuildContext(2, 5, mine, its, networks[0], networks[1])
    return built, Step(batch, mine, its, networks[0], Progress(1, 2, 0.0))


def test_the_image_alone_is_kd_and_a_wide_resnets_last_map_is_that_after_its_last_norm() -> None:
    built, step = context()
    objective = SDD(scales=(1,))
    assert built.model is not None
    assert objective.wrap_student(built.model, built) is built.model
    shapes = [
        {name: tuple(v.shape[1:]) for name, v in out.features.items()} for out in (step.student, built.teacher) if out
    ]
    assert objective.taps(*shapes).teacher == ("block3_preact",)
    objective.build(built)
    assert step.teacher is not None
    expected = kd_loss(step.student.logits, step.teacher.logits)
    torch.testing.assert_close(objective.loss(step), expected, rtol=1e-4, atol=1e-6)
    objective.loss(step).backward()
    assert built.model.fc.weight.grad is not None  # type: ignore[union-attr]
    assert all(each.grad is None for each in built.teacher_model.parameters())  # type: ignore[union-attr]


def test_without_a_label_the_teachers_class_counts() -> None:
    built, step = context()
    objective = SDD()
    objective.wrap_student(step.model, built)
    objective.build(built)
    assert step.teacher is not None
    guessed = replace(step, batch=replace(step.batch, labels=step.teacher.logits.argmax(1)))
    bare = replace(step, batch=replace(step.batch, labels=None))
    torch.testing.assert_close(objective.loss(bare), objective.loss(guessed))


def test_gradcheck() -> None:
    student, teacher, labels = regions()
    assert torch.autograd.gradcheck(lambda z: sdd_loss(z, teacher, labels, base="dkd"), student.requires_grad_())


def test_errors() -> None:
    built, _ = context()
    with pytest.raises(UsageError, match="sdd reads the classifier of a teacher network, and the run has none"):
        SDD().wrap_student(torch.nn.Identity(), replace(built, teacher_model=None))
    odd = Outputs(built.student.logits, {**built.student.features, "pooled": torch.ones(2, 64)})
    with pytest.raises(UsageError, match="sdd needs a student whose classifier reads the mean of its last map"):
        SDD().wrap_student(torch.nn.Identity(), replace(built, student=odd))
    with pytest.raises(ValueError, match=r"scales: \[2, 1\], expected 1; 1, 2; or 1, 2, 4"):
        SDD(scales=(2, 1))
    with pytest.raises(ValueError, match="base: unknown 'nkd'; there are kd, dkd"):
        inspect.unwrap(SDD.__init__)(SDD.__new__(SDD), base="nkd")
    with pytest.raises(ValueError, match=r"shapes \(1, 2, 2\) and \(1, 2, 3\) differ"):
        inspect.unwrap(sdd_loss)(torch.zeros(1, 2, 2), torch.zeros(1, 2, 3), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"pairs: \{\}, expected one: the map that each network pools"):
        SDD(pairs={})
    objective = SDD(pairs={"block1": "block3"})
    objective.wrap_student(torch.nn.Identity(), built)
    with pytest.raises(
        UsageError, match=r"student's classifier reads 64 values, and block1 has shape \(2, 16, 32, 32\)"
    ):
        objective.build(built)
