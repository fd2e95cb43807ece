from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from preceptor.training import OptimizerSettings, make_optimizer
from preceptor.training.finite import FiniteCheck, all_finite
from preceptor.training.optimizers.base import NO_SCALER, StepLoss


def train(
    losses: list[float], name: str, *, late: bool, scaler: GradScaler = NO_SCALER
) -> tuple[list[Tensor], list[str | None], str | None]:
    """Train a weight on losses of these sizes; return it after each step, what was said then, and at the end."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 1)
    optimizer = make_optimizer(OptimizerSettings(name=name, lr=0.1), layer, scaler)  # type: ignore[arg-type]
    check = FiniteCheck(["kd", "ce"], optimizer, torch.device("cpu"), late=late)
    weights, messages = [], []
    for step, size in enumerate(losses):
        optimizer.zero_grad()
        terms = {"ce": layer(torch.ones(1, 3)).sum() * size}
        loss = 2 * terms["ce"]
        messages.append(check.look(step, loss, terms))
        if messages[-1] and not late:
            break
        optimizer.backward(StepLoss(loss, terms, {"ce": 2.0}, frozenset()), 1.0)
        optimizer.unscale()
        optimizer.step(0.1)
        weights.append(layer.weight.detach().clone())
    return weights, messages, check.read()


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_read_late_no_weight_moves_from_the_bad_step_on_and_it_is_named(name: str, bad: float) -> None:
    losses = [1.0, 2.0, bad, 1.0, 1.0]
    weights, messages, end = train(losses, name, late=True)
    assert messages == [None] * 5  # nothing was waited for
    assert not weights[1].equal(weights[0])
    assert all(later.equal(weights[1]) for later in weights[2:])
    assert end is not None
    assert end.startswith("step 2: term ce = ")
    assert end.endswith(" is not finite")
    at_once, said, _ = train(losses, name, late=False)
    assert said[-1] == end
    assert all(one.equal(other) for one, other in zip(at_once, weights, strict=False))  # until then the same bits


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_gradients_that_overflow_cost_one_step_and_a_bad_loss_ends_the_run(name: str, late: bool) -> None:
    """In fp16 the scaler skips a step; from a loss that is no number on, no step moves the weights all the same."""
    scaler = GradScaler("cpu", init_scale=2.0**66, backoff_factor=2.0**-10)
    losses = [1.0, 1e30, 1.0, 2.0**66, 1.0, math.nan, 1.0]  # times the scale, the second is infinite, the fourth is not
    weights, messages, end = train(losses, name, late=late, scaler=scaler)
    expected = train([size for size in losses if size != 1e30], name, late=late)[0]
    assert weights[1].equal(weights[0])
    for place, other in zip((0, 2, 3, 4), expected, strict=False):
        torch.testing.assert_close(weights[place], other)
    assert [message for message in (*messages, end) if message] == ["step 5: term ce = nan is not finite"]
    assert all(later.equal(weights[4]) for later in weights[5:])
    assert len(weights) == (7 if late else 5)


def test_it_reads_by_itself_after_sixteen_steps() -> None:
    _, messages, _ = train([1.0] * 20 + [math.nan] + [1.0] * 15, "sgd", late=True)
    assert [place for place, message in enumerate(messages) if message] == [31]
    assert str(messages[31]).startswith("step 20: term ce")


def test_dot_takes_no_flag_so_each_loss_is_looked_at() -> None:
    _, messages, _ = train([1.0, math.nan], "dot", late=False)
    assert messages == [None, "step 1: term ce = nan is not finite"]
    layer = nn.Linear(1, 1)
    optimizer = make_optimizer(OptimizerSettings(name="dot", lr=0.1), layer)
    loss = torch.tensor(math.inf)
    check = FiniteCheck(["ce"], optimizer, torch.device("cpu"), late=True)
    assert check.look(7, loss, {"ce": torch.tensor(1.0)}) == ("step 7: the weighted sum of the terms is not finite")


def test_only_floating_point_entries_can_be_other_than_finite() -> None:
    assert all_finite([])
    assert all_finite([torch.ones(2), torch.tensor([2**60])])
    assert not all_finite([torch.ones(2), torch.tensor([1.0, float("nan")])])
    assert not all_finite([torch.tensor([math.inf]), torch.ones(2)])
