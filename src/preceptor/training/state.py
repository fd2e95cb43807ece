"""Everything that decides how a run continues: what a checkpoint holds, saved and restored in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from preceptor.distributed import ONE_PROCESS, Processes
from preceptor.distributed.sharding import full_state, load_full
from preceptor.training.averaging import Average
from preceptor.training.finite import FiniteCheck
from preceptor.training.learner import Learner
from preceptor.training.metrics import RunningMetrics
from preceptor.training.optimizers.base import Optimizer
from preceptor.training.plan import Plan
from preceptor.training.progress import TrainProgress
from preceptor.training.selection import Selection

__all__ = ["STATE_KEYS", "Best", "TrainState"]

STATE_KEYS = ("learner", "optimizer", "average", "progress", "metrics", "best", "random", "cuda_random")


@dataclass(frozen=True, slots=True)
class Best:
    """The epoch with the lowest score of a selection rule so far, and its weights."""

    score: float = math.inf
    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)


class TrainState:
    """What changes while a run trains. Data order and views are functions of the progress, and need no state.

    Args:
        learner: network and objective, on the engine's device.
        optimizer: of the learner's parameters.
        plan: length and averaging.
        num_batches: of an epoch.
        processes: that train this network.

    Raises:
        UsageError: when the optimiser cannot follow the plan.
    """

    def __init__(
        self, learner: Learner, optimizer: Optimizer, plan: Plan, num_batches: int, processes: Processes = ONE_PROCESS
    ) -> None:
        optimizer.check(plan.clip_norm, plan.accumulate)
        self.learner = learner
        self.optimizer = optimizer
        self.average = Average(plan.averaging, learner.network.model, plan.epochs, num_batches)
        self.num_batches = num_batches
        self.metrics = RunningMetrics(learner.objective.running)
        device = next(learner.parameters()).device
        self.finite = FiniteCheck(learner.objective.running, optimizer, device, processes)
        self.progress = TrainProgress()
        self.best = Best()
        self.step_seconds = 0.0
        self._processes = processes

    def count_step(self, seconds: float) -> None:
        """Advance the progress by one step, and add its weights to the average."""
        self.step_seconds = seconds
        self.metrics.add_seconds(seconds)
        self.progress = self.progress.after_step(seconds)
        self.average.take(self.progress)

    def end_epoch(self, validation: Mapping[str, float], selection: Selection) -> None:
        """Keep the epoch's weights if its validation score is the best so far, and advance to the next epoch."""
        score = selection.score(validation)
        if score is not None and score < self.best.score:
            state = full_state(self.learner.network.model.state_dict())
            weights = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
            self.best = Best(score, self.progress.epoch, weights)
        self.metrics = RunningMetrics(self.metrics.terms)
        self.progress = self.progress.after_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return the state with full tensors and plain values; every process must call this."""
        progress, best = self.progress, self.best
        device = next(self.learner.parameters()).device
        return {
            "learner": full_state(self.learner.state_dict()),
            "optimizer": full_state(self.optimizer.state_dict()),
            "average": full_state(self.average.state_dict()),
            "progress": [progress.epoch, progress.batch, progress.step, progress.seconds],
            "metrics": self.metrics.over(self._processes, device).values,
            "best": [best.score, best.epoch, best.weights],
            "random": self._processes.exchange(torch.get_rng_state()),
            "cuda_random": self._processes.exchange(_cuda_random(device)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state.

        Raises:
            RuntimeError, ValueError: when it does not fit.
        """
        load_full(self.learner, state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.progress = TrainProgress(*state["progress"])
        metrics = RunningMetrics(self.learner.objective.running, state["metrics"])
        self.metrics = metrics.continued(self._processes)
        self.best = Best(*state["best"])
        rank, device = self._processes.rank, next(self.learner.parameters()).device
        if rank < len(state["random"]):  # with more processes than before, the new ones keep the state they have
            torch.set_rng_state(state["random"][rank])
        of_cuda = state["cuda_random"][rank] if rank < len(state["cuda_random"]) else None
        if of_cuda is not None and device.type == "cuda":
            torch.cuda.set_rng_state(of_cuda, device)


def _cuda_random(device: torch.device) -> Tensor | None:
    """Return the state of a device's random numbers; None where it has none of its own."""
    return torch.cuda.get_rng_state_all()[device.index] if device.type == "cuda" else None
