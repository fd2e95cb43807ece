"""One step of training: forward, backward, gradients averaged over all processes, the weights moved."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from preceptor.distributed import gather_step
from preceptor.distributed.sharding import clip_gradients
from preceptor.objectives.weighted import renormalise, total
from preceptor.training.engine import Engine
from preceptor.training.optimizers.base import StepLoss
from preceptor.training.plan import Plan
from preceptor.training.state import TrainState
from preceptor.training.teachers import TeacherSource
from preceptor.types import Batch

__all__ = ["train_step"]


def train_step(
    state: TrainState, batch: Batch, teacher: TeacherSource | None, plan: Plan, engine: Engine
) -> str | None:
    """Take one step; return what in the loss was not finite, if anything was: then the weights have not moved.

    Args:
        state: learner and optimiser; its metrics count what was seen.
        batch: this process's rows of it.
        teacher: its outputs are needed first.
        plan: learning rate, clipping, passes.
        engine: on which the step runs.
    """
    learner, optimizer, processes = state.learner, state.optimizer, engine.processes
    progress = state.progress.of(plan.epochs, state.num_batches)
    optimizer.zero_grad()
    passes = _passes(batch, plan.accumulate, engine)
    for rows in passes:
        teacher_outputs = None if teacher is None else teacher(rows)
        with engine.autocast():
            terms, logits = learner(rows, teacher_outputs, progress, partial(gather_step, processes=processes))
            weights = learner.objective.weights(progress)
            if rows.renormalise:
                weights = renormalise(weights, terms)
            loss = total(terms, weights)
        if processes.any(not bool(torch.isfinite(loss)), engine.device):
            return _not_finite(terms)
        step_loss = StepLoss(loss, terms, weights, learner.objective.teacher_terms)
        optimizer.backward(step_loss, rows.share / len(passes))
        if rows.share > 0:
            detached = {name: term.detach() for name, term in terms.items()}
            state.metrics.add(logits.detach(), rows.labels, loss.detach(), detached)
    optimizer.average_gradients(processes, learner.parameters())
    if plan.clip_norm is not None:
        clip_gradients(learner.parameters(), plan.clip_norm)
    optimizer.step(plan.learning_rate(progress))
    processes.sync_memory_banks(learner.objective.memory_rows(batch.index))
    return None


def _passes(batch: Batch, count: int, engine: Engine) -> list[Batch]:
    """Return the passes of a batch, as many in each process, none of them empty."""
    if count > 1:
        count = min(count, engine.processes.least(len(batch.inputs), engine.device))
    return [batch] if count == 1 else [batch.stride(number, count) for number in range(count)]


def _not_finite(terms: Mapping[str, Tensor]) -> str:
    bad = [f"{name} = {float(term.detach())}" for name, term in terms.items() if not torch.isfinite(term)]
    return "term " + ", ".join(bad) if bad else "the weighted sum of the terms"
