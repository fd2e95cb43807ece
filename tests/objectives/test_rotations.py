from __future__ import annotations

import torch
from torch import nn

from preceptor.objectives.rotations import ROTATIONS, BlockClassifiers, all_views
from preceptor.types import Outputs


def test_views_are_upright_and_then_turned_in_order() -> None:
    turned = {name: Outputs(torch.full((1, 1), float(k))) for k, name in reversed(list(enumerate(ROTATIONS, start=1)))}
    assert [int(view.logits) for view in all_views(Outputs(torch.zeros(1, 1), views=turned))] == [0, 1, 2, 3]


def test_a_classifier_follows_the_networks_own_shapes_to_the_end() -> None:
    shapes = [(4, 16, 16), (6, 8, 8), (8, 8, 8)]
    classifiers = BlockClassifiers(shapes, num_joint=12)
    outputs: list[tuple[int, ...]] = []
    for module in classifiers.modules():
        if type(module).__name__ == "_Residual":
            module.register_forward_hook(lambda _, __, out: outputs.append(tuple(out.shape[1:])))
    logits = classifiers([torch.randn(2, *shape) for shape in shapes])
    assert [tuple(out.shape) for out in logits] == [(2, 12)] * 3
    assert outputs == [(6, 8, 8), (8, 8, 8), (8, 8, 8), (8, 8, 8)]  # two blocks after the first, one after each other


def test_half_precision_maps_give_float32_logits() -> None:
    classifiers = BlockClassifiers([(4, 8, 8)], num_joint=4).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (logits,) = classifiers([torch.randn(2, 4, 8, 8)])
    assert logits.dtype == torch.float32
    assert isinstance(classifiers.levels[0], nn.Sequential)


def test_some_levels_are_those_classifiers() -> None:
    shapes = [(4, 16, 16), (6, 8, 8), (8, 8, 8)]
    classifiers = BlockClassifiers(shapes, num_joint=12).eval()
    maps = [torch.randn(2, *shape) for shape in shapes]
    every, some = classifiers(maps), classifiers.only([0, 2]).eval()([maps[0], maps[2]])
    assert torch.equal(some[0], every[0])
    assert torch.equal(some[1], every[2])
