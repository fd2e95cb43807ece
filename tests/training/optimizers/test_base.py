from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from preceptor.distributed import Processes
from preceptor.training.optimizers.base import OneGradient, StepLoss


def step_loss(value: torch.Tensor, weights: dict[str, float]) -> StepLoss:
    terms = {"cross_entropy": value, "kd": 10 * value, "rkd": 100 * value}
    total = sum((weights[name] * term for name, term in terms.items()), torch.zeros(()))
    return StepLoss(total, terms, weights, frozenset({"kd", "rkd"}))


def test_the_sides_of_a_loss_are_labels_and_teacher() -> None:
    loss = step_loss(torch.tensor(1.0), {"cross_entropy": 0.5, "kd": 2.0, "rkd": 0.0})
    assert loss.side(uses_teacher=False) == 0.5
    assert loss.side(uses_teacher=True) == 20.0
    assert step_loss(torch.tensor(1.0), {"cross_entropy": 0.0, "kd": 1.0, "rkd": 1.0}).side(uses_teacher=False) is None


def test_gradients_add_up_until_they_are_cleared() -> None:
    parameter = nn.Parameter(torch.tensor(2.0))
    optimizer = OneGradient(torch.optim.SGD([parameter], lr=1.0), ["weight"])
    weights = {"cross_entropy": 1.0, "kd": 0.0, "rkd": 0.0}
    optimizer.backward(step_loss(3 * parameter, weights), 1.0)
    optimizer.backward(step_loss(3 * parameter, weights), 0.5)
    assert parameter.grad == pytest.approx(4.5)
    optimizer.average_gradients(Processes(), [parameter])
    optimizer.step(lr=0.1)
    assert parameter.item() == pytest.approx(2.0 - 0.45)
    optimizer.zero_grad()
    assert parameter.grad is None


def test_the_state_makes_a_round_trip() -> None:
    def descend(start: float, steps: int, state: dict[str, Any] | None = None) -> tuple[float, dict[str, Any]]:
        parameter = nn.Parameter(torch.tensor(start))
        optimizer = OneGradient(torch.optim.SGD([parameter], lr=1.0, momentum=0.9), ["weight"])
        if state is not None:
            optimizer.load_state_dict(state)
        for _ in range(steps):
            optimizer.zero_grad()
            parameter.square().backward()  # type: ignore[no-untyped-call]
            optimizer.step(lr=0.1)
        return parameter.item(), optimizer.state_dict()

    value, state = descend(2.0, 2)
    assert descend(value, 1, state)[0] == descend(2.0, 3)[0]
    assert descend(value, 1)[0] != descend(2.0, 3)[0]


def test_any_settings_are_supported_by_default() -> None:
    OneGradient(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), ["weight"]).check(clip_norm=1.0, accumulate=4)


def test_the_state_of_other_parameters_does_not_fit() -> None:
    optimizer = OneGradient(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), ["weight"])
    with pytest.raises(ValueError, match="the optimiser's state is of other parameters: bias"):
        optimizer.load_state_dict({"bias": {"momentum_buffer": torch.zeros(1)}})


def test_a_state_takes_the_layout_of_its_parameter() -> None:
    """A fused step with momentum in another layout is silently wrong on the CPU."""
    convolution = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = OneGradient(torch.optim.SGD(convolution.parameters(), lr=1.0, momentum=0.9), ["weight", "bias"])
    momentum = torch.arange(108.0).reshape(4, 3, 3, 3)
    optimizer.load_state_dict({"weight": {"momentum_buffer": momentum}})
    kept = optimizer.inner.state[convolution.weight]["momentum_buffer"]
    assert torch.equal(kept, momentum)
    assert kept.stride() == convolution.weight.stride() != momentum.stride()
