"""One step of training: forward, backward, all processes together, the weights moved."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch._functorch import config as functorch_config

from preceptor.distributed.dtensors import is_sharded
from preceptor.distributed.gather import gather_step
from preceptor.distributed.processes import Processes
from preceptor.distributed.sharding import clip_gradients
from preceptor.errors import UsageError
from preceptor.objectives.weighted import renormalise, total
from preceptor.training.engine import Engine
from preceptor.training.learner import Learner
from preceptor.training.metrics import RunningMetrics
from preceptor.training.optimizers.dot import DOT
from preceptor.training.optimizers.optim import LearningRate
from preceptor.training.teachers import TeacherSource
from preceptor.types import Batch, Progress

__all__ = ["buffers_kept", "check_step", "take_step"]


class Manner(Protocol):
    """What a plan says of its steps."""

    @property
    def learning_rate(self) -> LearningRate: ...
    @property
    def clip_norm(self) -> float | None: ...
    @property
    def accumulate(self) -> int: ...


def check_step(plan: Manner, optimizer: torch.optim.Optimizer) -> None:
    """Check that an optimiser can take steps of this manner.

    Raises:
        UsageError: for DOT, whose two gradients are neither clipped nor added up.
    """
    if not isinstance(optimizer, DOT):
        return
    if plan.clip_norm is not None:
        raise UsageError(
            f"clip_norm: {plan.clip_norm} cannot be used with optim=dot, whose two gradients it does not see"
        )
    if plan.accumulate > 1:
        raise UsageError(
            f"accumulate: {plan.accumulate} cannot be used with optim=dot, which keeps two gradients apart"
        )
    if any(is_sharded(parameter) for group in optimizer.param_groups for parameter in group["params"]):
        raise UsageError("sharding: all cannot be used with optim=dot, which goes backward twice through the network")


def take_step(
    learner: Learner,
    batch: Batch,
    teacher: TeacherSource | None,
    optimizer: torch.optim.Optimizer,
    plan: Manner,
    progress: Progress,
    engine: Engine,
    metrics: RunningMetrics,
) -> str | None:
    """Take one step; return what in the loss was not finite, if anything was: then the weights have not moved.

    Args:
        learner: network and objective.
        batch: this process's rows of it.
        teacher: is asked first.
        optimizer: moves the weights.
        plan: learning rate, clipping, passes.
        progress: where in the run the step stands.
        engine: on which it runs.
        metrics: counts what was seen.
    """
    optimizer.zero_grad(set_to_none=True)
    parts = _passes(batch, plan.accumulate, engine)
    for part in parts:
        answers = None if teacher is None else teacher(part)
        with engine.autocast():
            terms, logits = learner(part, answers, progress, partial(gather_step, processes=engine.processes))
            weights = learner.objective.weights(progress)
            if part.renormalise:
                weights = renormalise(weights, terms)
            loss = total(terms, weights)
        if engine.processes.any(not bool(torch.isfinite(loss)), engine.device):
            return _culprit(terms)
        scale = part.share / len(parts)
        _backward(loss, terms, weights, scale, learner, optimizer)
        if part.share > 0:
            seen = {name: term.detach() for name, term in terms.items()}
            metrics.add(logits.detach(), part.labels, loss.detach(), seen)
    _average(learner, optimizer, engine.processes)
    if plan.clip_norm is not None:
        clip_gradients(learner.parameters(), plan.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate(progress)
    optimizer.step()
    engine.processes.sync_memory_banks(learner.objective.memory_rows(batch.index))
    return None


def _passes(batch: Batch, count: int, engine: Engine) -> list[Batch]:
    """Return the parts of a batch, as many in each process, none of them empty."""
    if count > 1:
        count = min(count, engine.processes.least(len(batch.inputs), engine.device))
    return [batch] if count == 1 else [batch.stride(number, count) for number in range(count)]


def _backward(
    loss: Tensor,
    terms: Mapping[str, Tensor],
    weights: Mapping[str, float],
    scale: float,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
) -> None:
    if isinstance(optimizer, DOT):
        sides: dict[bool, dict[str, Tensor]] = {False: {}, True: {}}
        for name, objective in learner.objective.named_terms():
            if name in terms and weights[name] != 0.0:
                sides[objective.uses_teacher][name] = terms[name]
        optimizer.backward(*(total(side, weights) * scale if side else None for side in sides.values()))
        return
    (loss if scale == 1 else loss * scale).backward()


def _average(learner: Learner, optimizer: torch.optim.Optimizer, processes: Processes) -> None:
    processes.average_gradients(learner.parameters())
    if isinstance(optimizer, DOT):
        optimizer.swap()
        processes.average_gradients(learner.parameters())
        optimizer.swap()


def _culprit(terms: Mapping[str, Tensor]) -> str:
    bad = [f"{name} = {float(term.detach())}" for name, term in terms.items() if not torch.isfinite(term)]
    return "term " + ", ".join(bad) if bad else "the weighted sum of the terms"


def buffers_kept(optimizer: torch.optim.Optimizer) -> AbstractContextManager[object]:
    """Let compiled networks keep their buffers for DOT's second backward pass through them."""
    is_needed = isinstance(optimizer, DOT)
    return functorch_config.patch(donated_buffer=False) if is_needed else nullcontext()
