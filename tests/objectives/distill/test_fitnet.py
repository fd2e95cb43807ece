from __future__ import annotations

import inspect

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.fitnet import FitNet, fitnet_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden, closed_form_map, offer


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


def test_the_connector_is_built_from_the_shapes_seen_and_trains() -> None:
    objective = FitNet()
    outputs = [Outputs(torch.zeros(2, 3), {"block2": torch.randn(2, c, 4, 4)}) for c in (6, 9)]
    objective.pairing.pairs = (("block2", "block2"),)
    objective.build(BuildContext(10, 3, outputs[0], outputs[1]))
    assert sum(p.numel() for p in objective.parameters()) == 6 * 9 + 9 + 2 * 9
    objective([outputs[0].features["block2"]], [outputs[1].features["block2"]]).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in objective.parameters())


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 2, 2, 0.1), closed_form_map(2, 2, 2, 0.8)
    assert torch.autograd.gradcheck(lambda maps: fitnet_loss(maps, teacher), student.requires_grad_())


def test_the_second_blocks_or_the_users() -> None:
    names = offer("stem", "block1", "block2", "block3")
    assert FitNet().taps(names, names) == Taps(("block2",), ("block2",))
    own = FitNet(pairs={"layer2.0": "blocks.3", "layer3": "blocks.5"})
    assert own.taps({}, {}) == Taps(("layer2.0", "layer3"), ("blocks.3", "blocks.5"))
    student_outputs = Outputs(
        torch.zeros(2, 3), {"layer2.0": torch.randn(2, 4, 4, 4), "layer3": torch.randn(2, 6, 2, 2)}
    )
    teacher_outputs = Outputs(
        torch.zeros(2, 3), {"blocks.3": torch.randn(2, 17, 8), "blocks.5": torch.randn(2, 5, 4, 4)}
    )
    own.build(BuildContext(10, 3, student_outputs, teacher_outputs))  # 17 tokens are a class token and a grid of 4 x 4
    maps = own.pairing.maps(Step(_batch(), student_outputs, teacher_outputs, torch.nn.Identity(), Progress(1, 1, 0.0)))
    single = [fitnet_loss(regress(s), t).item() for regress, s, t in zip(own.regressors, *maps, strict=True)]
    assert own(*maps).item() == pytest.approx(sum(single), rel=1e-5)


def _batch() -> Batch:
    return Batch(torch.zeros(2, 3, 4, 4), None, torch.arange(2), View("none", 0, 1))


def test_errors() -> None:
    with pytest.raises(
        UsageError, match=r"method fitnet needs feature maps, and the student offers stem, pooled; name"
    ):
        FitNet().taps(offer("stem", "pooled"), offer("block1", "block2"))
    with pytest.raises(UsageError, match=r"and the teacher offers block1; name"):
        FitNet().taps(offer("block1", "block2"), offer("block1"))
    objective = FitNet(pairs={"block2": "block2"})
    objective.taps({}, {})
    flat = Outputs(torch.zeros(2, 3), {"block2": torch.zeros(2, 6)})
    with pytest.raises(UsageError, match=r"fitnet needs maps, and feature block2 of the student has shape \(2, 6\)"):
        objective.build(BuildContext(10, 3, flat, flat))
    maps = Outputs(torch.zeros(2, 3), {"block2": torch.zeros(2, 6, 4, 4)})
    with pytest.raises(UsageError, match="learns from a teacher, and the run has none"):
        objective.build(BuildContext(10, 3, maps, None))


def test_maps_of_different_shapes_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2, 1, 4, 4\) and \(2, 6, 4, 4\) differ"):
        inspect.unwrap(fitnet_loss)(torch.zeros(2, 1, 4, 4), torch.zeros(2, 6, 4, 4))
