from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.amp import GradScaler

from preceptor.distributed import Processes
from preceptor.errors import UsageError
from preceptor.training import Averaging, Engine, OptimizerSettings, Selection, TrainState
from preceptor.training.state import STATE_KEYS
from preceptor.training.step import train_step
from small_training import CPU, ENGINE, made_learner, made_loader, made_plan, made_state

PLAN = made_plan(averaging=Averaging(name="ema", start=1, decay=0.5))


def weight(state: TrainState) -> Tensor:
    return state.learner.network.model.get_parameter("0.weight").detach().clone()


def train(state: TrainState, start: int, stop: int, engine: Engine = ENGINE) -> None:
    for batch in list(made_loader().batches(1))[start:stop]:
        assert train_step(state, batch, None, PLAN, engine) is None
        state.count_step(seconds=0.5)


@pytest.mark.parametrize("engine", [ENGINE, Engine(CPU, "fp16")])
def test_a_restored_state_continues_to_the_same_bits(engine: Engine) -> None:
    """Momentum, average, metrics, the masks of dropout and, in fp16, the scale of the loss among them."""
    is_scaled = engine.precision == "fp16"
    scaler = GradScaler("cpu", init_scale=2.0**30, backoff_factor=2.0**-20, enabled=is_scaled)
    state = made_state(plan=PLAN, scaler=scaler)
    weights = [weight(state)]
    for step in range(2):
        train(state, step, step + 1, engine)
        weights.append(weight(state))
    assert [not torch.equal(*pair) for pair in pairwise(weights)] == [not is_scaled, True]  # the first one overflows
    assert state.optimizer.loss_scale == (2.0**10 if is_scaled else 1.0)
    saved = copy.deepcopy(state.state_dict())
    assert tuple(saved) == STATE_KEYS
    train(state, 2, 3, engine)
    torch.manual_seed(99)
    other = made_state(plan=PLAN, scaler=engine.loss_scaler())
    other.load_state_dict(saved)
    assert (other.progress.batch, other.progress.step, other.progress.seconds) == (2, 2, 1.0)
    train(other, 2, 3, engine)
    for name, value in state.learner.state_dict().items():
        assert torch.equal(other.learner.state_dict()[name], value)
    for name, value in state.average.state_dict().items():
        assert torch.equal(other.average.state_dict()[name], value)
    assert torch.equal(other.metrics.values, state.metrics.values)
    assert other.optimizer.loss_scale == state.optimizer.loss_scale


def test_the_best_epoch_keeps_its_weights_and_a_tie_the_earlier_one() -> None:
    state, selection = made_state(), Selection("best_val_nll")
    weights = {}
    for epoch, nll in enumerate([0.5, 0.25, 0.25, 0.75], start=1):
        weights[epoch] = state.learner.network.model.state_dict()["0.weight"].clone()
        state.end_epoch({"nll": nll}, selection)
        torch.nn.init.normal_(state.learner.network.model.get_parameter("0.weight"))
    assert (state.best.epoch, state.best.score, state.progress.epoch) == (2, 0.25, 5)
    assert torch.equal(state.best.weights["0.weight"], weights[2])
    again = made_state()
    again.load_state_dict(state.state_dict())
    assert (again.best.epoch, again.best.score) == (2, 0.25)


def test_the_last_epoch_needs_no_copy_of_weights() -> None:
    state = made_state()
    state.metrics.add_seconds(3.0)
    state.end_epoch({}, Selection())
    assert state.best.weights == {}
    assert state.metrics.images_per_second == 0
    assert float(state.metrics.values.sum()) == 0


def test_each_rank_has_its_own_random_state_back_and_a_new_one_keeps_its_own() -> None:
    saved = made_state().state_dict()
    streams = [torch.Generator().manual_seed(seed).get_state() for seed in (1, 2)]
    saved["random"] = streams
    for rank, world_size in ((0, 3), (1, 3), (2, 3)):
        state = made_state(processes=Processes(rank, world_size))
        torch.manual_seed(77)
        state.load_state_dict(saved)
        expected = torch.Generator().manual_seed((1, 2, 77)[rank])
        assert torch.equal(torch.rand(4), torch.rand(4, generator=expected))


def test_an_optimiser_that_cannot_follow_the_plan_is_refused() -> None:
    with pytest.raises(UsageError, match=r"clip_norm: 1\.0 cannot be used with optim=dot"):
        made_state(plan=made_plan(clip_norm=1.0), optim=OptimizerSettings(name="dot"))


def test_the_state_of_another_network_does_not_fit() -> None:
    saved = made_state().state_dict()
    saved["learner"] = {**saved["learner"], "network.model.0.weight": torch.zeros(2, 2)}
    with pytest.raises(RuntimeError, match="size mismatch"):
        made_state(made_learner()).load_state_dict(saved)
