from __future__ import annotations

import inspect
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from preceptor import models
from preceptor.objectives.base import BuildContext
from preceptor.objectives.teacher.lipschitz import ConvNorm, Lipschitz, lipschitz_loss
from preceptor.types import Outputs
from vectors import GOLDEN

CASES = json.loads((GOLDEN / "teacher.json").read_text())["lipschitz"]


def golden_network(case: dict[str, Any]) -> tuple[nn.Sequential, dict[str, Any]]:
    layers = [getattr(nn, layer["type"])(**{k: v for k, v in layer.items() if k != "type"}) for layer in case["layers"]]
    network = nn.Sequential(*layers)
    with np.load(GOLDEN / case["arrays"], allow_pickle=False) as arrays:
        stored = {name: arrays[name] for name in arrays.files}
    state = network.state_dict()
    state.update({name: torch.from_numpy(stored[name]) for name in state if name in stored})
    network.load_state_dict(state)
    return network, stored


@pytest.mark.parametrize("case", CASES, ids=["plain", "grouped"])
def test_golden(case: dict[str, Any]) -> None:
    network, stored = golden_network(case)
    value = lipschitz_loss(network)
    assert value.item() == pytest.approx(case["total"], rel=1e-5)
    value.backward()
    checked = 0
    for name, parameter in network.named_parameters():
        if f"grad_{name}" in stored:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad  # biases
            expected = torch.from_numpy(stored[f"grad_{name}"])
            torch.testing.assert_close(gradient.double(), expected.double(), rtol=1e-3, atol=1e-6)
            checked += 1
    assert checked >= 4


def test_by_hand() -> None:
    conv, norm, linear = nn.Conv2d(1, 1, 2), nn.BatchNorm2d(2, eps=0.0), nn.Linear(2, 2)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[[[1.0, -2.0], [0.5, 0.0]]]]))
        norm.weight.copy_(torch.tensor([1.0, -3.0]))
        assert norm.running_var is not None
        norm.running_var.copy_(torch.tensor([1.0, 4.0]))
        linear.weight.copy_(torch.tensor([[1.0, -1.0], [1.0, 4.0]]))
    assert lipschitz_loss(conv).item() == 3.5
    assert lipschitz_loss(norm).item() == 1.5
    assert lipschitz_loss(linear).item() == 5.0
    assert lipschitz_loss(nn.Sequential(conv, norm, linear)).item() == 10.0


def test_the_gradient_is_the_sign_of_weights_and_the_largest_channel_of_a_norm() -> None:
    conv, norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    lipschitz_loss(nn.Sequential(conv, norm)).backward()
    assert conv.weight.grad is not None
    assert norm.weight.grad is not None
    assert torch.equal(conv.weight.grad, conv.weight.sign())
    assert torch.nonzero(norm.weight.grad).flatten().tolist() == [int(norm.weight.abs().argmax())]
    assert conv.bias is not None
    assert conv.bias.grad is None


@pytest.mark.parametrize(
    ("name", "conv", "norms", "linear"),
    [
        ("wrn_40_2", 84_600, 37, 5.2),
        ("resnet32x4", 198_200, 34, 3.7),
        ("resnet56", 45_400, 57, 6.9),
        ("resnet110", 91_600, 111, 7.0),
        ("vgg13", 167_200, 10, 0.95),
    ],
)
def test_anchors_at_initialisation(name: str, conv: float, norms: int, linear: float) -> None:
    torch.manual_seed(0)
    network = models.create(name, num_classes=100)
    sums = {"conv": 0.0, "norm": 0.0, "linear": 0.0}
    for module in network.modules():
        kinds = (("conv", nn.Conv2d), ("norm", nn.BatchNorm2d), ("linear", nn.Linear))
        for group, kind in kinds:
            if isinstance(module, kind):
                sums[group] += lipschitz_loss(module).item()
    assert sums["conv"] == pytest.approx(conv, rel=5e-3)
    assert sums["norm"] == pytest.approx(norms, rel=1e-4)
    assert sums["linear"] == pytest.approx(linear, rel=0.12)
    assert lipschitz_loss(network).item() == pytest.approx(sum(sums.values()), rel=1e-5)


@pytest.mark.parametrize("kind", ["induced_1", "induced_inf", "spectral"])
def test_norms_bound_what_a_convolution_does(kind: ConvNorm) -> None:
    """A 1x1 convolution on one pixel is its matrix, whose norms torch knows."""
    conv = nn.Conv2d(5, 4, 1)
    matrix = conv.weight.detach()[:, :, 0, 0]
    order: dict[str, float] = {"induced_1": 1, "induced_inf": float("inf"), "spectral": 2}
    expected = torch.linalg.matrix_norm(matrix, order[kind])
    assert lipschitz_loss(conv, conv_norm=kind).item() == pytest.approx(expected.item(), rel=2e-2)


def test_a_groups_inputs_meet_only_their_own_outputs() -> None:
    conv = nn.Conv2d(4, 4, 1, groups=2)
    full = torch.zeros(4, 4)
    full[:2, :2], full[2:, 2:] = conv.weight.detach()[:2, :, 0, 0], conv.weight.detach()[2:, :, 0, 0]
    expected = torch.linalg.matrix_norm(full, 1)
    assert lipschitz_loss(conv, conv_norm="induced_1").item() == pytest.approx(expected.item(), rel=1e-5)


def test_power_iteration_converges_over_steps_and_is_remembered() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 16, 3), nn.Conv2d(16, 8, 3))
    objective = Lipschitz("spectral")
    outputs = Outputs(torch.zeros(2, 3))
    objective.build(BuildContext(10, 3, outputs, None, network))
    before = [buffer.clone() for buffer in objective.buffers()]
    for _ in range(200):
        value = objective(network)
    convs = [module for module in network if isinstance(module, nn.Conv2d)]
    exact = sum(torch.linalg.matrix_norm(conv.weight.detach().flatten(1), 2).item() for conv in convs)
    assert value.item() == pytest.approx(exact, rel=1e-4)
    assert not torch.equal(before[0], next(iter(objective.buffers())))
    objective.eval()
    kept = [buffer.clone() for buffer in objective.buffers()]
    objective(network)
    assert all(torch.equal(a, b) for a, b in zip(kept, objective.buffers(), strict=True))
    twin = Lipschitz("spectral")
    twin.build(BuildContext(10, 3, outputs, None, network))
    twin.load_state_dict(objective.state_dict())


def test_the_spectral_gradient_has_rank_one() -> None:
    conv = nn.Conv2d(3, 6, 3)
    lipschitz_loss(conv, conv_norm="spectral").backward()
    assert conv.weight.grad is not None
    assert int(torch.linalg.matrix_rank(conv.weight.grad.flatten(1), rtol=1e-4)) == 1


def test_logsum_is_the_log_of_the_product() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    sums = [lipschitz_loss(layer).item() for layer in network]
    assert lipschitz_loss(network, aggregate="logsum").item() == pytest.approx(np.log(sums[0] * sums[1]), rel=1e-5)


def test_a_tiny_variance_can_be_clipped() -> None:
    norm = nn.BatchNorm1d(2)
    assert norm.running_var is not None
    norm.running_var.fill_(0.0)
    assert lipschitz_loss(norm).item() == pytest.approx(1e-5**-0.5, rel=1e-4)
    assert lipschitz_loss(norm, max_batchnorm=100.0).item() == 100


def test_other_layers_count_nothing_and_are_named() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Embedding(5, 3))
    assert lipschitz_loss(network).item() == pytest.approx(lipschitz_loss(network[0]).item())
    assert lipschitz_loss(nn.LayerNorm(4)).item() == 0
    objective = Lipschitz()
    objective.build(BuildContext(10, 3, Outputs(torch.zeros(2, 3)), None, network))
    assert objective.notes() == ("layers without a norm count nothing: Embedding, LayerNorm",)


@pytest.mark.parametrize(
    ("kind", "expected"), [("entrywise", 84_660), ("induced_1", 1_134), ("induced_inf", 1_067), ("spectral", 74)]
)
def test_how_far_the_norms_are_apart(kind: ConvNorm, expected: float) -> None:
    """Sums over the convolutions of wrn_40_2 at initialisation: why a weight is not to be copied from norm to norm."""
    torch.manual_seed(0)
    convs = [m for m in models.create("wrn_40_2", num_classes=100).modules() if isinstance(m, nn.Conv2d)]
    assert lipschitz_loss(nn.ModuleList(convs), conv_norm=kind).item() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("kind", ["entrywise", "induced_1", "induced_inf", "spectral"])
def test_half_precision_weights_and_autocast_are_left_behind(kind: ConvNorm) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.Linear(16, 4))
    exact = lipschitz_loss(network, conv_norm=kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(lipschitz_loss(network, conv_norm=kind), exact, rtol=1e-6, atol=0)
    assert lipschitz_loss(network.double(), conv_norm=kind).dtype == torch.float64
    half = lipschitz_loss(network.bfloat16(), conv_norm=kind)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(exact.item(), rel=0.01)


def test_directions_of_modules_with_like_names_do_not_mix() -> None:
    network = nn.ModuleDict({"a_b": nn.Conv2d(2, 3, 1), "a": nn.ModuleDict({"b": nn.Conv2d(2, 5, 1)})})
    objective = Lipschitz("spectral")
    objective.build(BuildContext(10, 3, Outputs(torch.zeros(2, 3)), None, network))
    assert sorted(len(buffer) for buffer in objective.buffers()) == [3, 5]
    assert torch.isfinite(objective(network))


def test_without_building_the_directions_are_made_at_first_use_and_then_kept() -> None:
    conv, objective = nn.Conv2d(3, 6, 3), Lipschitz("spectral").eval()
    first = objective(conv)
    (direction,) = objective.buffers()
    torch.testing.assert_close(first, lipschitz_loss(conv, conv_norm="spectral"))
    assert torch.equal(objective(conv), first)
    assert next(iter(objective.buffers())) is direction


def test_unknown_words_and_wrong_clips_are_named() -> None:
    unchecked = inspect.unwrap(lipschitz_loss)
    with pytest.raises(ValueError, match="conv_norm: unknown 'frobenius'; there are entrywise, induced_1"):
        unchecked(nn.Conv2d(1, 1, 1), conv_norm="frobenius")
    with pytest.raises(ValueError, match="aggregate: unknown 'mean'; there are sum, logsum"):
        unchecked(nn.Conv2d(1, 1, 1), aggregate="mean")
    with pytest.raises(ValueError, match="max_batchnorm: 0 is not above 0"):
        Lipschitz(max_batchnorm=0)
