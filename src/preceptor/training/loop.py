"""The one training loop, for teachers and students alike. `fit` reads in the order in which things happen."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from preceptor.data import Batches
from preceptor.distributed.sharding import load_full, local_shard
from preceptor.errors import Interrupted, RunError, UsageError
from preceptor.models import save_weights
from preceptor.training.callbacks import Callback, EpochRow
from preceptor.training.checkpoint import load_checkpoint, save_checkpoint
from preceptor.training.engine import Engine
from preceptor.training.finite import all_finite
from preceptor.training.graphs import GraphedSteps
from preceptor.training.interrupts import Interrupts
from preceptor.training.plan import Plan
from preceptor.training.state import STATE_KEYS, TrainState
from preceptor.training.step import train_step
from preceptor.training.teachers import TeacherSource
from preceptor.types import Batch

__all__ = ["FitResult", "MetricsLog", "RunFiles", "fit", "restore"]


class MetricsLog(Protocol):
    """A log with one row per epoch, which can be cut back to its size at a checkpoint."""

    def append(self, row: Mapping[str, object]) -> None: ...
    def size(self) -> int: ...
    def cut(self, size: int) -> None: ...


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where a run writes.

    Attributes:
        checkpoints: the folder of `last.pt` and of the kept epochs.
        metrics: the log, one row per epoch.
    """

    checkpoints: Path
    metrics: MetricsLog

    @property
    def last(self) -> Path:
        """The checkpoint to continue from."""
        return self.checkpoints / "last.pt"

    def __str__(self) -> str:
        return (
            f"the last good checkpoint is {self.last}" if self.last.exists() else "no checkpoint had been written yet"
        )


@dataclass(frozen=True, slots=True)
class FitResult:
    """The result of training.

    Attributes:
        selected_epoch: the epoch whose weights the learner now holds; for an average, the last epoch in it.
        seconds: of training.
        validation: scores of those weights.
    """

    selected_epoch: int
    seconds: float
    validation: Mapping[str, float]


def fit(
    state: TrainState,
    loader: Batches,
    teacher: TeacherSource | None,
    plan: Plan,
    engine: Engine,
    *,
    evaluate: Callable[[], Mapping[str, float]],
    files: RunFiles,
    callbacks: Sequence[Callback] = (),
) -> FitResult:
    """Train to the end of the plan, with checkpoints on the way, and leave the selected weights in the learner.

    Args:
        state: of a new run, or restored: learner, optimiser, progress.
        loader: the training split.
        teacher: where the teacher's outputs come from, or None.
        plan: length, learning rate, selection, checkpoints.
        engine: device and precision.
        evaluate: returns the network's validation scores; called after each epoch, and at the end for the selected weights.
        files: where checkpoints and the epochs' metrics are written.
        callbacks: called at epochs and steps.

    Raises:
        RunError: when the loss or the weights are no longer finite, or the disk is full; the last good checkpoint stays.
        Interrupted: after SIGINT or SIGTERM, once a checkpoint is saved.
    """
    learner, processes = state.learner, engine.processes
    take_step = _stepper(state, teacher, plan, engine)
    with Interrupts() as interrupts, state.optimizer.compile_context():
        while (epoch := state.progress.epoch) <= plan.last_epoch:
            if state.progress.batch == 0:  # otherwise the run was resumed within an epoch
                for callback in callbacks:
                    callback.epoch_started(state)
            learner.train()
            step_start = time.perf_counter()
            for batch in loader.batches(epoch, start=state.progress.batch):
                if not_finite := take_step(batch):
                    raise RunError(f"{not_finite}; {files}")
                now = time.perf_counter()
                state.count_step(now - step_start)  # progress moves on to the next batch; the weights enter the average
                step_start = now
                for callback in callbacks:
                    callback.stepped(state, plan)
                if plan.checkpoint_every_steps and state.progress.step % plan.checkpoint_every_steps == 0:
                    _save_checkpoint(state, files, callbacks, engine)
                if processes.any(interrupts.pending is not None, engine.device):  # a signal to one stops all
                    _save_checkpoint(state, files, callbacks, engine)
                    raise Interrupted(
                        f"interrupted in epoch {epoch}, step {state.progress.step}: saved; resume=true continues from here",
                        128 + (interrupts.pending or signal.SIGTERM),
                    )
            if not_finite := state.finite.read():
                raise RunError(f"{not_finite}; {files}")
            processes.sync_buffers(learner.synced_buffers())  # such as batch-norm statistics
            row = _epoch_row(state, plan, engine, evaluate(), callbacks)
            files.metrics.append(row.as_dict())
            for callback in callbacks:
                callback.epoch_ended(row, state)
            if plan.keep_every and epoch % plan.keep_every == 0:
                _keep_weights(state, files, engine)
            state.end_epoch(row.validation, plan.selection)  # keeps the weights if they are the best so far
            _save_checkpoint(state, files, callbacks, engine)

    # The result: the last weights, those of the best epoch, or an average with batch-norm statistics of its own.
    if state.best.weights:
        load_full(learner.network.model, state.best.weights)
    state.average.apply(loader.batches(state.progress.epoch), engine)
    processes.sync_buffers(learner.synced_buffers())
    return FitResult(state.best.epoch or plan.last_epoch, state.progress.seconds, evaluate())


def _stepper(
    state: TrainState, teacher: TeacherSource | None, plan: Plan, engine: Engine
) -> Callable[[Batch], str | None]:
    """Return what takes a step: forward, backward, weight update; it returns a message if a loss is not finite."""
    if engine.graphs:
        return GraphedSteps(state, teacher, plan, engine)
    return partial(train_step, state, teacher=teacher, plan=plan, engine=engine)


def restore(state: TrainState, files: RunFiles, callbacks: Sequence[Callback] = ()) -> None:
    """Continue from the last checkpoint, where there is one.

    Raises:
        UsageError: when it is damaged or does not fit.
    """
    if not files.last.exists():
        return
    saved = load_checkpoint(files.last, [*STATE_KEYS, "callbacks", "metrics_bytes"])
    try:
        state.load_state_dict(saved)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"checkpoint {files.last}: does not fit this run ({str(error).splitlines()[0]})") from error
    for callback in callbacks:
        callback.load_state_dict(saved["callbacks"])
    files.metrics.cut(saved["metrics_bytes"])


def _save_checkpoint(state: TrainState, files: RunFiles, callbacks: Sequence[Callback], engine: Engine) -> None:
    if not_finite := state.finite.read():
        raise RunError(f"{not_finite}; {files}")
    is_finite = all_finite(local_shard(tensor) for tensor in state.learner.state_dict().values())
    if engine.processes.any(not is_finite, engine.device):
        advice = "; precision=fp32 may help" if engine.precision == "bf16" else ""
        raise RunError(f"step {state.progress.step}: weights are no longer finite; {files}{advice}")
    engine.processes.sync_buffers(state.learner.synced_buffers())
    saved = state.state_dict()
    saved["callbacks"] = {key: value for callback in callbacks for key, value in callback.state_dict().items()}
    saved["metrics_bytes"] = files.metrics.size()
    if engine.processes.is_first:
        save_checkpoint(files.last, saved)


def _keep_weights(state: TrainState, files: RunFiles, engine: Engine) -> None:
    network = state.learner.full_network()
    if engine.processes.is_first:
        files.checkpoints.mkdir(parents=True, exist_ok=True)
        save_weights(network, files.checkpoints / f"epoch_{state.progress.epoch:04d}.safetensors")


def _epoch_row(
    state: TrainState, plan: Plan, engine: Engine, validation: Mapping[str, float], callbacks: Sequence[Callback]
) -> EpochRow:
    metrics, progress = state.metrics.over(engine.processes, engine.device), state.progress
    last_step = progress.before_step().of(plan.epochs, state.num_batches)
    return EpochRow(
        epoch=progress.epoch,
        step=progress.step,
        lr=plan.learning_rate(last_step),
        loss=metrics.loss,
        accuracy=metrics.accuracy,
        terms=metrics.term_means,
        weights=state.learner.objective.weights(last_step),
        weighted=metrics.weighted_means,
        validation=validation,
        seconds=progress.seconds,
        images_per_second=metrics.images_per_second,
        extras={key: value for callback in callbacks for key, value in callback.columns().items()},
    )
