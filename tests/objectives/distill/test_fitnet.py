from __future__ import annotations

import inspect

import pytest
import torch
from vectors import assert_golden, closed_form_map

from preceptor.errors import UsageError
from preceptor.objectives.base import Setting
from preceptor.objectives.distill.fitnet import FitNet, Regressor, fitnet_loss
from preceptor.types import Outputs


def test_definition() -> None:
    student, teacher = closed_form_map(2, 3, 2, 0.1), closed_form_map(2, 3, 2, 0.8)
    pairs = zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    expected = sum((s - t) ** 2 for s, t in pairs) / student.numel()
    assert fitnet_loss(student, teacher).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("fitnet", number, fitnet_loss)


def test_tabulated() -> None:
    value = fitnet_loss(closed_form_map(6, 4, 4, 0.1), closed_form_map(6, 4, 4, 0.8))
    assert value.item() == pytest.approx(0.22995238, rel=1e-7)


def test_by_hand() -> None:
    assert fitnet_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 2.0]])).item() == 2.0


@pytest.mark.parametrize(
    ("student", "teacher", "kernel"),
    [
        ((3, 8, 8), (5, 4, 4), (3, 3)),  # twice the side: stride 2
        ((3, 4, 4), (5, 8, 8), (4, 4)),  # half the side: transposed
        ((3, 8, 8), (5, 8, 8), (1, 1)),
        ((3, 8, 6), (5, 6, 5), (3, 2)),  # eats the difference
        ((3, 4, 4), (5, 7, 7), (1, 1)),  # interpolated first
        ((3, 3, 9), (5, 6, 4), (1, 1)),
    ],
)
def test_the_regressor_gives_the_teachers_shape(
    student: tuple[int, ...], teacher: tuple[int, ...], kernel: tuple[int, int]
) -> None:
    regressor = Regressor(student, teacher, relu=True)
    assert regressor(torch.randn(2, *student)).shape == (2, *teacher)
    conv = regressor.layers[0]
    assert isinstance(conv, torch.nn.Conv2d | torch.nn.ConvTranspose2d)
    assert conv.kernel_size == kernel


def test_the_last_relu_can_be_left_off() -> None:
    inputs = torch.randn(8, 3, 4, 4)
    assert (Regressor((3, 4, 4), (5, 4, 4), relu=True)(inputs) >= 0).all()
    assert (Regressor((3, 4, 4), (5, 4, 4), relu=False)(inputs) < 0).any()


def test_the_connector_is_built_from_the_shapes_seen_and_trains() -> None:
    objective = FitNet()
    outputs = [Outputs(torch.zeros(2, 3), {"block2": torch.randn(2, c, 4, 4)}) for c in (6, 9)]
    objective.build(Setting(10, 3, outputs[0], outputs[1]))
    assert sum(p.numel() for p in objective.parameters()) == 6 * 9 + 9 + 2 * 9
    objective(outputs[0].features["block2"], outputs[1].features["block2"]).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in objective.parameters())


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 2, 2, 0.1), closed_form_map(2, 2, 2, 0.8)
    assert torch.autograd.gradcheck(lambda maps: fitnet_loss(maps, teacher), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(
        UsageError, match="method fitnet needs feature block2 of the student, which offers stem, pooled"
    ):
        FitNet().taps(["stem", "pooled"], ["block2"])
    with pytest.raises(UsageError, match="block9 of the teacher"):
        FitNet(teacher_feature="block9").taps(["block2"], ["block2"])
    assert FitNet(student_feature="layer2.0").taps([], ["block2"]).student == ("layer2.0",)
    flat = Outputs(torch.zeros(2, 3), {"block2": torch.zeros(2, 6)})
    with pytest.raises(UsageError, match=r"fitnet needs maps, and feature block2 of the student has shape \(2, 6\)"):
        FitNet().build(Setting(10, 3, flat, flat))
    maps = Outputs(torch.zeros(2, 3), {"block2": torch.zeros(2, 6, 4, 4)})
    with pytest.raises(UsageError, match="learns from a teacher, and the run has none"):
        FitNet().build(Setting(10, 3, maps, None))


def test_maps_of_different_shapes_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2, 1, 4, 4\) and \(2, 6, 4, 4\) differ"):
        inspect.unwrap(fitnet_loss)(torch.zeros(2, 1, 4, 4), torch.zeros(2, 6, 4, 4))
