from __future__ import annotations

import copy

import pytest
import torch

from preceptor.distributed import Processes
from preceptor.errors import UsageError
from preceptor.training import Averaging, OptimizerSettings, Selection, TrainState
from preceptor.training.state import STATE_KEYS
from preceptor.training.step import train_step
from small_training import ENGINE, made_learner, made_loader, made_plan, made_state

PLAN = made_plan(averaging=Averaging(name="ema", start=1, decay=0.5))


def train(state: TrainState, start: int, stop: int) -> None:
    for batch in list(made_loader().batches(1))[start:stop]:
        assert train_step(state, batch, None, PLAN, ENGINE) is None
        state.count_step(seconds=0.5)


def test_a_restored_state_continues_to_the_same_bits() -> None:
    """Momentum, average, metrics and the masks of dropout among them."""
    state = made_state(plan=PLAN)
    train(state, 0, 2)
    saved = copy.deepcopy(state.state_dict())
    assert tuple(saved) == STATE_KEYS
    train(state, 2, 3)
    torch.manual_seed(99)
    other = made_state(plan=PLAN)
    other.load_state_dict(saved)
    assert (other.progress.batch, other.progress.step, other.progress.seconds) == (2, 2, 1.0)
    train(other, 2, 3)
    for name, value in state.learner.state_dict().items():
        assert torch.equal(other.learner.state_dict()[name], value)
    for name, value in state.average.state_dict().items():
        assert torch.equal(other.average.state_dict()[name], value)
    assert torch.equal(other.metrics.values, state.metrics.values)


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
