from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.amp import GradScaler

from preceptor.errors import UsageError
from preceptor.training.optimizers.optim import LearningRate, make_optimizer
from preceptor.training.settings import OptimizerSettings, RateSchedule
from preceptor.types import Progress


def at(epoch: int, epochs: int = 240) -> Progress:
    return Progress(epoch, epochs, (epoch - 1) / epochs)


def test_the_cifar_protocol_decays_first_in_epochs_151_181_211() -> None:
    rate = LearningRate(0.05, RateSchedule(name="step"))
    expected = {1: 0.05, 150: 0.05, 151: 0.005, 180: 0.005, 181: 5e-4, 210: 5e-4, 211: 5e-5, 240: 5e-5}
    assert {epoch: pytest.approx(rate(at(epoch))) for epoch in expected} == expected


def test_milestones_may_be_epochs() -> None:
    rate = LearningRate(1.0, RateSchedule(name="step", milestones=(3.0,), gamma=0.5))
    assert [rate(at(epoch, 5)) for epoch in (1, 3, 4, 5)] == [1.0, 1.0, 0.5, 0.5]


def test_a_share_of_a_short_run_ends_with_an_epoch() -> None:
    rate = LearningRate(1.0, RateSchedule(name="step", milestones=(0.3, 0.6, 0.9)))
    assert [rate(at(epoch, 100)) for epoch in (30, 31, 61, 91)] == pytest.approx([1.0, 0.1, 0.01, 0.001])
    assert rate(at(1, 1)) == 1.0  # the first epoch is trained at the full rate


def test_cosine_is_half_way_down_in_the_middle() -> None:
    rate = LearningRate(2.0, RateSchedule(name="cosine"))
    assert rate(Progress(1, 1, 0.0)) == pytest.approx(2.0)
    assert rate(Progress(1, 1, 0.5)) == pytest.approx(1.0)
    assert rate(Progress(1, 1, 0.25)) == pytest.approx(1 + math.cos(math.pi / 4))


def test_one_cycle_rises_from_a_25th_to_the_peak_and_falls_to_nothing() -> None:
    rate = LearningRate(1.0, RateSchedule(name="one_cycle"))
    assert rate(Progress(1, 1, 0.0)) == pytest.approx(1 / 25)
    assert rate(Progress(1, 1, 0.3)) == pytest.approx(1.0)
    assert rate(Progress(1, 1, 0.9999999)) == pytest.approx(0.0, abs=1e-6)
    values = [rate(Progress(1, 1, k / 100)) for k in range(100)]
    assert values.index(max(values)) == 30


def test_warm_up_is_linear() -> None:
    rate = LearningRate(1.0, RateSchedule(name="constant", warmup=0.5))
    assert [rate(Progress(1, 1, progress)) for progress in (0.25, 0.5, 0.9)] == pytest.approx([0.5, 1.0, 1.0])


@pytest.mark.parametrize(("decay_all", "groups"), [(True, [6]), (False, [2, 4])])
def test_norms_and_biases_can_be_spared_weight_decay(decay_all: bool, groups: list[int]) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = make_optimizer(
        OptimizerSettings(lr=0.1, weight_decay=0.5, decay_norms_and_biases=decay_all), network
    ).inner
    assert [len(group["params"]) for group in optimizer.param_groups] == groups
    assert [group["weight_decay"] for group in optimizer.param_groups] == ([0.5] if decay_all else [0.5, 0.0])


def test_dot_takes_no_scaled_losses() -> None:
    with pytest.raises(UsageError, match="precision: fp16 cannot be used with optim=dot"):
        make_optimizer(OptimizerSettings(name="dot"), nn.Linear(1, 1), GradScaler("cpu"))


def test_adamw_is_torchs() -> None:
    network = nn.Linear(3, 2)
    optimizer = make_optimizer(OptimizerSettings(name="adamw", lr=1e-3, weight_decay=0.1), network).inner
    assert isinstance(optimizer, torch.optim.AdamW)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_takes_a_gradient_that_first_comes_after_others(nesterov: bool) -> None:
    """Fused SGD of torch fails where only some parameters have momentum yet."""
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    both = nn.ModuleList([first, second])
    twins = copy.deepcopy(both)
    optimizer = make_optimizer(OptimizerSettings(lr=0.1, weight_decay=0.1, nesterov=nesterov), both)
    plain = torch.optim.SGD(
        twins.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=nesterov, foreach=False
    )
    inputs = torch.randn(4, 3)
    for step in range(3):
        for layers, clear in ((both, optimizer.zero_grad), (twins, plain.zero_grad)):
            clear()
            outputs = layers[0](inputs)
            (outputs if step == 0 else layers[1](outputs)).square().mean().backward()
        optimizer.step(0.1)
        plain.step()
    for name, value in twins.state_dict().items():
        torch.testing.assert_close(both.state_dict()[name], value)
