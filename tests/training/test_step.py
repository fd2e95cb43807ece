from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from preceptor.objectives.base import Objective
from preceptor.objectives.distill import KD
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.training import OptimizerSettings, TrainState
from preceptor.training.step import train_step
from preceptor.types import Batch, Outputs, Step
from small_training import ENGINE, made_batch, made_learner, made_plan, made_state

SGD = OptimizerSettings(lr=0.1, momentum=0.0)


class NotFinite(Objective):
    """Infinite where the run asks for it."""

    uses_teacher = False

    def loss(self, step: Step) -> Tensor:
        return step.student.logits.mean() + math.inf


def weight(state: TrainState) -> Tensor:
    return state.learner.network.model.get_parameter("0.weight").detach().clone()


def test_a_step_of_sgd_by_hand() -> None:
    state, batch = made_state(made_learner().eval(), optim=SGD), made_batch()
    linear = copy.deepcopy(state.learner.network.model)
    assert batch.labels is not None
    loss = functional.cross_entropy(linear(batch.inputs), batch.labels)
    loss.backward()
    expected = linear.get_parameter("0.weight")
    assert expected.grad is not None
    assert train_step(state, batch, None, made_plan(), ENGINE) is None
    torch.testing.assert_close(weight(state), expected.detach() - 0.1 * expected.grad)
    assert state.metrics.loss == pytest.approx(loss.item())
    assert state.progress.step == 0  # `count_step` counts it


def test_accumulated_gradients_are_those_of_the_batch() -> None:
    weights = []
    for accumulate in (1, 3):
        state = made_state(made_learner().eval(), optim=SGD)
        assert train_step(state, made_batch(), None, made_plan(accumulate=accumulate), ENGINE) is None
        weights.append(weight(state))
        assert state.metrics.num_labelled == 8
    torch.testing.assert_close(weights[0], weights[1])


def test_the_gradient_is_clipped_to_its_norm() -> None:
    state = made_state(made_learner().eval(), optim=SGD)
    before = [parameter.detach().clone() for parameter in state.learner.parameters()]
    assert train_step(state, made_batch(), None, made_plan(clip_norm=1e-3), ENGINE) is None
    moves = [(after - start).norm() for after, start in zip(state.learner.parameters(), before, strict=True)]
    assert torch.stack(moves).norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_a_loss_that_is_not_finite_is_named_and_moves_nothing() -> None:
    objective = Sum(cross_entropy=(1.0, CrossEntropy()), broken=(1.0, NotFinite()))
    state = made_state(made_learner(objective))
    before = weight(state)
    assert train_step(state, made_batch(), None, made_plan(), ENGINE) == "step 0: term broken = inf is not finite"
    assert torch.equal(weight(state), before)
    weighted = made_state(made_learner(Sum(cross_entropy=(math.inf, CrossEntropy()))))
    assert (
        train_step(weighted, made_batch(), None, made_plan(), ENGINE)
        == "step 0: the weighted sum of the terms is not finite"
    )


def test_the_teacher_is_run_on_the_same_rows() -> None:
    rows = []

    def teacher(batch: Batch) -> Outputs:
        rows.append(batch.inputs)
        return Outputs(torch.zeros(len(batch.inputs), 3))

    state, batch = made_state(made_learner(Sum(kd=(1.0, KD())))), made_batch()
    assert train_step(state, batch, teacher, made_plan(accumulate=2), ENGINE) is None
    assert [torch.equal(one, batch.inputs[start::2]) for start, one in enumerate(rows)] == [True, True]
