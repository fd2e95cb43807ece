"""One training step: forward, backward, gradients averaged over all processes, weights updated."""

from __future__ import annotations

from functools import partial

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
    """Take one step. If the loss of a step is known not to be finite, return a message; its weights have not moved.

    Args:
        state: learner, optimiser and running metrics.
        batch: this process's rows of the batch.
        teacher: where the teacher's outputs come from, or None.
        plan: learning rate, clipping, gradient accumulation.
        engine: device and precision.
    """
    learner, optimizer, processes = state.learner, state.optimizer, engine.processes
    progress = state.progress.of(plan.epochs, state.num_batches)
    gather = partial(gather_step, processes=processes)  # terms that compare rows see those of all processes
    optimizer.zero_grad()
    micro_batches = _micro_batches(batch, plan.accumulate, engine)
    for micro_batch in micro_batches:
        teacher_outputs = None if teacher is None else teacher(micro_batch)
        with engine.autocast():
            terms, logits = learner(micro_batch, teacher_outputs, progress, gather)
            weights = learner.objective.weights(progress)
            if micro_batch.renormalise:  # terms that these rows cannot have leave their weight to the others
                weights = renormalise(weights, terms)
            loss = total(terms, weights)
        if not_finite := state.finite.look(state.progress.step, loss, terms):
            return not_finite
        # scaled so that the mean over processes is the gradient of the mean over all rows of the batch
        step_loss = StepLoss(loss, terms, weights, learner.objective.teacher_terms)
        optimizer.backward(step_loss, micro_batch.share / len(micro_batches))
        if micro_batch.share > 0:  # 0: these rows only keep this process in step with the others
            detached = {name: term.detach() for name, term in terms.items()}
            state.metrics.add(logits.detach(), micro_batch.labels, loss.detach(), detached, weights)
    optimizer.average_gradients(processes, learner.parameters())
    optimizer.unscale()
    if plan.clip_norm is not None:
        clip_gradients(learner.parameters(), plan.clip_norm)
    optimizer.step(plan.learning_rate(progress))
    processes.sync_memory_banks(learner.objective.memory_rows(batch.index))
    return None


def _micro_batches(batch: Batch, count: int, engine: Engine) -> list[Batch]:
    """Return a batch split for gradient accumulation: equally many in each process, none of them empty."""
    if count > 1:
        count = min(count, engine.processes.least(len(batch.inputs), engine.device))
    return [batch] if count == 1 else [batch.stride(number, count) for number in range(count)]
