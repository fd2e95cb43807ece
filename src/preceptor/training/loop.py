"""The one training loop, for teachers and students alike. `fit` reads in the order in which things happen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from preceptor.data import Batches
from preceptor.distributed.sharding import load_full, local_shard
from preceptor.errors import Interrupted, RunError, UsageError
from preceptor.files import make_folder
from preceptor.messages import first_difference
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
    """A log with one row per epoch, which can be cut back to what it was at a checkpoint; at None: before the first one."""

    def __len__(self) -> int: ...
    def append(self, row: Mapping[str, object]) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any] | None) -> None: ...


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where a run writes.

    Attributes:
        checkpoints: the folder of `last.pt` and of the kept epochs.
        metrics: the log, one row per epoch.
        identity: of the run, plain values: its configuration and what it was made from. A checkpoint holds it, and only a run
            with the same one continues from there.
    """

    checkpoints: Path
    metrics: MetricsLog
    identity: Mapping[str, Any] = field(default_factory=dict)

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
        RunError: when the loss or the weights are no longer finite, the disk is full, or the folder is gone; the last good
            checkpoint stays.
        Interrupted: after SIGINT or SIGTERM, once a checkpoint is saved.
    """
    learner, processes = state.learner, engine.processes
    take_step = _stepper(state, teacher, plan, engine)
    _make_place(files, engine)
    with Interrupts() as interrupts, state.optimizer.compile_context():
        while (epoch := state.progress.epoch) <= plan.last_epoch:
            if state.progress.batch == 0:  # otherwise the run was resumed within an epoch
                for callback in callbacks:
                    callback.epoch_started(state)
            learner.train()
            step_start = time.perf_counter()
            for batch in loader.batches(epoch, start=state.progress.batch):
                if not_finite := take_step(batch):
                    raise _not_finite(not_finite, files, engine)
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
                raise _not_finite(not_finite, files, engine)
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


def restore(
    state: TrainState,
    files: RunFiles,
    callbacks: Sequence[Callback] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Continue from the last checkpoint, where there is one, and cut the log back to it.

    A row of the log is written before the checkpoint that follows it. So the log may be ahead of the checkpoint, never behind it.

    Raises:
        UsageError: when the checkpoint is damaged, does not fit or is of another run; or when the log is not the one that it
            was written beside.
    """
    if not os.path.lexists(files.last):
        if len(files.metrics) > 1:  # the first epoch's row is written before its checkpoint
            tell(f"{files.last} is missing: {len(files.metrics)} epochs are trained once more")
        files.metrics.load_state_dict(None)
        return
    saved = load_checkpoint(files.last, [*STATE_KEYS, "callbacks", "metrics_log", "identity"])
    if difference := first_difference(saved["identity"], files.identity):
        key, before, now = difference
        raise UsageError(f"checkpoint {files.last}: is of a run with {key}={before}, not {now}; resume needs the same")
    files.metrics.load_state_dict(saved["metrics_log"])
    try:
        state.load_state_dict(saved)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"checkpoint {files.last}: does not fit this run ({str(error).splitlines()[0]})") from error
    for callback in callbacks:
        callback.load_state_dict(saved["callbacks"])


def _make_place(files: RunFiles, engine: Engine) -> None:
    """Make the folder of checkpoints; once training has begun, a missing one is an error: the run has been deleted."""
    if engine.processes.is_first:
        make_folder(files.checkpoints, parents=False)


def _not_finite(what: str, files: RunFiles, engine: Engine) -> RunError:
    advice = "" if engine.precision == "fp32" else "; precision=fp32 may help"
    return RunError(f"{what}; {files}{advice}")


def _save_checkpoint(state: TrainState, files: RunFiles, callbacks: Sequence[Callback], engine: Engine) -> None:
    if not_finite := state.finite.read():
        raise _not_finite(not_finite, files, engine)
    if state.optimizer.loss_scale < 1:  # halved at every step whose gradients overflow
        raise _not_finite(
            f"step {state.progress.step}: gradients overflow, however small the loss is scaled", files, engine
        )
    is_finite = all_finite(local_shard(tensor) for tensor in state.learner.state_dict().values())
    if engine.processes.any(not is_finite, engine.device):
        raise _not_finite(f"step {state.progress.step}: weights are no longer finite", files, engine)
    engine.processes.sync_buffers(state.learner.synced_buffers())
    saved = state.state_dict()
    saved["callbacks"] = {key: value for callback in callbacks for key, value in callback.state_dict().items()}
    saved["metrics_log"], saved["identity"] = files.metrics.state_dict(), dict(files.identity)
    if engine.processes.is_first:
        save_checkpoint(files.last, saved)


def _keep_weights(state: TrainState, files: RunFiles, engine: Engine) -> None:
    network = state.learner.full_network()
    if engine.processes.is_first:
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
