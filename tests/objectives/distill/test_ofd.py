from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from preceptor.errors import UsageError
from preceptor.models import FeatureNetwork, create, observe
from preceptor.models.zoo.small import ConvNet
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.ofd import OFD, _norm_before, ofd_loss, ofd_margin
from preceptor.types import Outputs
from vectors import GOLDEN, assert_golden, closed_form_map, offer


def test_definition() -> None:
    student, teacher = closed_form_map(2, 2, 3, 0.1), closed_form_map(2, 2, 3, 0.8)
    margin = torch.tensor([-0.1, -0.6], dtype=torch.float64)
    total = 0.0
    for b in range(4):
        for c in range(2):
            for s, t in zip(student[b, c].flatten().tolist(), teacher[b, c].flatten().tolist(), strict=True):
                target = max(t, float(margin[c]))
                total += (s - target) ** 2 if s > target or t > 0 else 0.0
    assert ofd_loss(student, teacher, margin).item() == pytest.approx(total / 4, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ofd", number, ofd_loss)


@pytest.mark.parametrize("number", [0, 1])
def test_golden_margin(number: int) -> None:
    with np.load(GOLDEN / "ofd_margin" / f"ofd_margin-{number}.npz", allow_pickle=False) as stored:
        weight, bias, margin = (torch.from_numpy(stored[name]) for name in ("weight", "bias", "margin"))
    torch.testing.assert_close(ofd_margin(weight, bias).float(), margin.float(), rtol=1e-4, atol=1e-6)


def test_tabulated() -> None:
    margin = -torch.arange(1, 7, dtype=torch.float64) / 10
    value = ofd_loss(closed_form_map(6, 4, 4, 0.1), closed_form_map(6, 4, 4, 0.8), margin)
    assert value.item() == pytest.approx(14.16615094, rel=1e-8)


def test_by_hand() -> None:
    """On: (2 - 5)^2; off and above the margin: (1 + 1)^2; off and below it: 0."""
    student, teacher = torch.tensor([[[[2.0, 1.0, -7.0]]]]), torch.tensor([[[[5.0, -3.0, -3.0]]]])
    assert ofd_loss(student, teacher, torch.tensor([-1.0])).item() == 13.0


def test_the_margin_is_the_mean_of_negative_values() -> None:
    random = torch.Generator().manual_seed(0)
    sample = 0.3 + 0.5 * torch.randn(2_000_000, generator=random, dtype=torch.float64)
    margin = ofd_margin(torch.tensor([-0.5], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64))
    assert margin.item() == pytest.approx(sample[sample < 0].mean().item(), rel=5e-3)


def test_margins_at_the_edges() -> None:
    weight = torch.tensor([1.0, 0.0, 0.0, 1e-20, 2.0])
    bias = torch.tensor([5.0, 1.0, -1.0, -3.0, -1e4])
    expected = torch.tensor([-3.0, 0.0, -1.0, -3.0, -1e4])
    torch.testing.assert_close(ofd_margin(weight, bias), expected, rtol=1e-5, atol=1e-6)


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 2, 3, 0.1), closed_form_map(2, 2, 3, 0.8)
    margin = torch.tensor([-0.1, -0.6], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda maps: ofd_loss(maps, teacher, margin), student.requires_grad_())


def context(student: torch.nn.Module, teacher: torch.nn.Module, objective: OFD, side: int) -> BuildContext:
    inputs = torch.randn(2, 3, side, side)
    names = [[f"block{k}_preact" for k in range(1, n + 1)] for n in (2, 3)]
    taps = objective.taps(offer(*names[0]), offer(*names[1]))
    assert taps == Taps(("block1_preact", "block2_preact"), ("block2_preact", "block3_preact"))
    with torch.no_grad():
        student_outputs, teacher_outputs = (
            observe(student.eval(), taps.student)(inputs),
            observe(teacher.eval(), taps.teacher)(inputs),
        )
    return BuildContext(10, 5, student_outputs, teacher_outputs, student, teacher)


def test_margins_are_those_of_the_teachers_batch_norms() -> None:
    student, teacher = ConvNet([4, 6], 1, num_classes=5, in_channels=3), create("resnet8", num_classes=5)
    objective = OFD()
    norm = teacher.get_submodule("layer3.0.bn2")
    assert isinstance(norm, torch.nn.BatchNorm2d)
    torch.nn.init.normal_(norm.weight)
    sides = context(student, teacher, objective, 32)
    objective.build(sides)
    torch.testing.assert_close(objective.get_buffer("margin1"), ofd_margin(norm.weight.detach(), norm.bias.detach()))
    assert len(objective.notes()) == 1
    maps = [list(side.features.values()) for side in (sides.student, sides.teacher) if side is not None]
    objective(*maps).backward()
    assert all(p.grad is not None for p in objective.parameters())


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "vgg8", "ResNet50", "ShuffleV1", "MobileNetV2"])
def test_these_networks_have_a_batch_norm_before_each_map(name: str) -> None:
    network = create(name, num_classes=3)
    assert isinstance(network, FeatureNetwork)
    maps = observe(network.eval(), list(network.preactivation_paths))(torch.zeros(1, 3, 32, 32)).features
    for feature, value in maps.items():
        norm = _norm_before(network, feature)
        assert norm is not None, feature
        assert norm.num_features == value.shape[1], feature


@pytest.mark.parametrize(
    ("name", "feature", "path"),
    [
        ("resnet8", "block3_preact", "layer3.0.bn2"),  # not the shortcut's, which is registered after it
        ("wrn_16_1", "block1_preact", "block2.layer.0.bn1"),
        ("MobileNetV2", "block1_preact", "blocks.1.1.conv.7"),
        ("resnet8", "layer2.0.bn1", "layer2.0.bn1"),  # a module path of the user's
        ("resnet8", "layer2", "layer2.0.bn2"),
        ("resnet8", "layer2.0.relu:input", "layer2.0.bn2"),
    ],
)
def test_which_batch_norm_it_is(name: str, feature: str, path: str) -> None:
    network = create(name, num_classes=3)
    assert _norm_before(network, feature) is network.get_submodule(path)


def test_where_there_is_none() -> None:
    network = create("resnet8", num_classes=3)
    assert _norm_before(network, "fc:input") is None  # nothing stands beside the input of a module at the top
    assert _norm_before(network, "conv1") is None
    assert _norm_before(network, "no.such") is None
    assert _norm_before(None, "layer2") is None


def test_pairs_of_the_users_take_the_margin_of_the_batch_norm_they_name() -> None:
    teacher = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 1), torch.nn.BatchNorm2d(6), torch.nn.BatchNorm2d(6, affine=False)
    )
    norm = teacher.get_submodule("1")
    assert isinstance(norm, torch.nn.BatchNorm2d)
    torch.nn.init.normal_(norm.weight)
    objective = OFD(pairs={"a.bn": "1", "b.bn": "2"})
    assert objective.taps({}, {}) == Taps(("a.bn", "b.bn"), ("1", "2"))
    student_outputs = Outputs(torch.zeros(2, 3), {name: torch.randn(2, 4, 4, 4) for name in ("a.bn", "b.bn")})
    teacher_outputs = Outputs(torch.zeros(2, 3), {name: torch.randn(2, 6, 4, 4) for name in ("1", "2")})
    objective.build(BuildContext(10, 3, student_outputs, teacher_outputs, teacher_model=teacher))
    torch.testing.assert_close(objective.get_buffer("margin0"), ofd_margin(norm.weight.detach(), norm.bias.detach()))
    assert objective.notes()[1] == "margins of 2 estimated from two samples: no batch-norm of their width"


def test_without_a_batch_norm_margins_are_estimated_and_it_says_so() -> None:
    student = ConvNet([4, 6], 1, num_classes=5, in_channels=3)
    objective = OFD()
    sides = context(student, ConvNet([4, 6, 8], 1, num_classes=5, in_channels=3), objective, 16)
    objective.build(BuildContext(10, 5, sides.student, sides.teacher, student, torch.nn.Identity()))
    assert sides.teacher is not None
    values = sides.teacher.features["block3_preact"].transpose(0, 1).flatten(1)
    torch.testing.assert_close(objective.get_buffer("margin1")[0], values[0][values[0] < 0].mean())
    assert objective.notes()[1].startswith("margins of block2_preact, block3_preact estimated from two samples")


def test_levels_count_half_for_each_step_from_the_end() -> None:
    objective = OFD()
    objective.taps(offer("block1_preact", "block2_preact"), offer("block1_preact", "block2_preact"))
    maps = {name: torch.randn(2, 4, 4, 4) for name in ("block1_preact", "block2_preact")}
    sides = Outputs(torch.zeros(2, 3), maps)
    objective.build(BuildContext(10, 3, sides, sides))
    objective.eval()
    with torch.no_grad():
        levels = [
            ofd_loss(connect(m), m, objective.get_buffer(f"margin{k}"))
            for k, (connect, m) in enumerate(zip(objective.connectors, maps.values(), strict=True))
        ]
        torch.testing.assert_close(objective(list(maps.values()), list(maps.values())), levels[0] / 2 + levels[1])


def test_errors() -> None:
    plain, maps = inspect.unwrap(ofd_loss), torch.zeros(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"shapes \(2, 1, 4, 4\) and \(2, 3, 4, 4\) differ"):
        plain(maps[:, :1], maps, torch.zeros(3))
    with pytest.raises(ValueError, match=r"margin: shape \(1,\) for maps of 3 channels"):
        plain(maps, maps, torch.zeros(1))
    with pytest.raises(
        UsageError, match="ofd needs feature maps before the last ReLU, and the teacher offers block1; name"
    ):
        OFD().taps(offer("block1_preact"), offer("block1"))
