"""The one training loop, for teachers and students alike; it reads in the order in which things happen."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from preceptor.data import Batches
from preceptor.data.augment.regions import RegionSearch
from preceptor.distributed.sharding import local_shard
from preceptor.divergences import soft_kl
from preceptor.errors import PreceptorError, RunError
from preceptor.training.averaging import Average
from preceptor.training.callbacks import Callback, EpochRow, MetricsLog, _row, _warn_near_chance, _warn_of_faint_terms
from preceptor.training.checkpoint import Best, TrainProgress, all_finite, save_state
from preceptor.training.engine import Engine
from preceptor.training.interrupts import Interrupts
from preceptor.training.learner import Learner
from preceptor.training.metrics import RunningMetrics
from preceptor.training.plan import Plan
from preceptor.training.state import _better, _keep, _put_result, _restore, _state
from preceptor.training.step import buffers_kept, check_step, take_step
from preceptor.training.teachers import TeacherSource, ask
from preceptor.types import Batch, Progress

__all__ = ["FitResult", "Interrupted", "fit"]


class Interrupted(PreceptorError):
    """The run was told to stop and has saved itself; `exit_code` is the shell's for the signal."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class FitResult:
    """How a run ended.

    Attributes:
        selected_epoch: whose weights the learner now holds; of an average, the last one in it.
        seconds: of training.
        validation: scores of those weights.
    """

    selected_epoch: int
    seconds: float
    validation: Mapping[str, float]


def fit(
    learner: Learner,
    *,
    loader: Batches,
    teacher: TeacherSource | None,
    optimizer: torch.optim.Optimizer,
    plan: Plan,
    engine: Engine,
    evaluate: Callable[[], Mapping[str, float]],
    metrics_log: MetricsLog,
    callback: Callback,
    checkpoints: Path,
    resume: bool = False,
    search: RegionSearch | None = None,
) -> FitResult:
    """Train `learner` to the end of its plan, saving as it goes, and leave the selected weights in it.

    Args:
        learner: network and objective, on the engine's device.
        loader: the training split.
        teacher: where the teacher's answers come from, or None.
        optimizer: of the learner's parameters; its learning rate is set at each step.
        plan: length, learning rate, selection, checkpoints.
        engine: device and precision.
        evaluate: measures the network on validation: once an epoch, and at the end what is left in the learner.
        metrics_log: gets a row an epoch.
        callback: is told of each step and epoch.
        checkpoints: the folder for `last.pt` and kept epochs.
        resume: go on from `last.pt` where there is one.
        search: moves the region of the loader's policy before an epoch.

    Raises:
        UsageError: when the plan and the optimiser cannot go together, or a checkpoint does not fit.
        RunError: when the loss or the weights stop being finite, or the disk refuses; the last good checkpoint stays.
        Interrupted: after SIGINT or SIGTERM, once everything is saved.
    """
    processes = engine.processes
    check_step(plan, optimizer)
    path = checkpoints / "last.pt"
    average = Average(plan.averaging, learner.network.model, plan.epochs, loader.num_batches)
    position, metrics, best = TrainProgress(), RunningMetrics(learner.objective.running), Best()
    if resume and path.exists():
        position, metrics, best = _restore(path, learner, optimizer, average, metrics_log, search, processes)

    def save() -> None:
        _check_weights(learner, engine, position, path)
        processes.sync_buffers(learner.synced_buffers())
        everyone = metrics.over(processes, engine.device)
        state = _state(learner, optimizer, position, everyone, best, average, metrics_log, search)
        if processes.is_first:
            save_state(path, state)

    total_steps = plan.epochs * loader.num_batches
    first_step = position.step + 1
    with Interrupts() as interrupts, buffers_kept(optimizer):
        while position.epoch <= plan.last_epoch:
            _search(search, position, learner, teacher, engine, callback)
            learner.train()
            began = time.perf_counter()
            for batch in loader.batches(position.epoch, start=position.batch):
                progress = Progress(position.epoch, plan.epochs, position.step / total_steps)
                if culprit := take_step(learner, batch, teacher, optimizer, plan, progress, engine, metrics):
                    raise RunError(f"step {position.step}: {culprit} is not finite; {_last_good(path)}")
                now = time.perf_counter()
                metrics.add_seconds(now - began)
                position = replace(
                    position, batch=position.batch + 1, step=position.step + 1, seconds=position.seconds + now - began
                )
                average.take(position)
                callback.stepped(position, loader.num_batches, plan, metrics)
                if position.step == first_step and engine.compiles:
                    callback.note(f"engine: the first step, which compiles, took {now - began:.1f} s")
                if position.step == math.ceil(total_steps / 10) and learner.objective.task != "multilabel":
                    _warn_near_chance(metrics, position.step, callback)
                began = now
                if plan.checkpoint_every_steps and position.step % plan.checkpoint_every_steps == 0:
                    save()
                if processes.any(interrupts.pending is not None, engine.device):
                    save()
                    raise Interrupted(
                        f"interrupted in epoch {position.epoch}, step {position.step}: saved; resume=true goes on from here",
                        128 + (interrupts.pending or signal.SIGTERM),
                    )
            processes.sync_buffers(learner.synced_buffers())
            row = _row(learner, position, metrics.over(processes, engine.device), plan, total_steps, evaluate(), search)
            _report(row, learner, metrics_log, callback)
            best = _better(best, row, plan.selection, learner)
            _keep(plan, position.epoch, learner, checkpoints, processes)
            metrics = RunningMetrics(metrics.terms)
            position = replace(position, epoch=position.epoch + 1, batch=0)
            save()
    _put_result(best, average, learner, loader.batches(position.epoch), engine)
    return FitResult(best.epoch or plan.last_epoch, position.seconds, evaluate())


def _search(
    search: RegionSearch | None,
    position: TrainProgress,
    learner: Learner,
    teacher: TeacherSource | None,
    engine: Engine,
    callback: Callback,
) -> None:
    if search is None or position.batch > 0:
        return
    assert teacher is not None, "a search compares with a teacher"
    if line := search.begin(position.epoch, partial(disagreement, learner, teacher, engine)):
        callback.note(line)


@torch.no_grad()
def disagreement(
    learner: Learner, teacher: TeacherSource, engine: Engine, batches: Iterable[Batch], temperature: float
) -> float:
    """Return the mean softened KL of the student, in eval mode, to the teacher on some batches."""
    was_training = learner.training
    learner.eval()
    sums = torch.zeros(2, device=engine.device)
    try:
        for batch in batches:
            answers = teacher(batch)
            with engine.autocast():
                student: Tensor = ask(learner.network, batch).logits
            each = soft_kl(student, answers.logits, temperature)
            if batch.share > 0:
                sums += torch.stack([each.sum(), each.new_tensor(float(len(each)))])
    finally:
        learner.train(was_training)
    total, rows = engine.processes.add(sums).tolist()
    return float(total / rows)


def _check_weights(learner: Learner, engine: Engine, position: TrainProgress, path: Path) -> None:
    is_finite = all_finite(local_shard(tensor) for tensor in learner.state_dict().values())
    if engine.processes.any(not is_finite, engine.device):
        way_out = "; precision=fp32 may do" if engine.precision == "bf16" else ""
        raise RunError(f"step {position.step}: weights are no longer finite; {_last_good(path)}{way_out}")


def _last_good(path: Path) -> str:
    return f"the last good checkpoint is {path}" if path.exists() else "no checkpoint had been written yet"


def _report(row: EpochRow, learner: Learner, metrics_log: MetricsLog, callback: Callback) -> None:
    metrics_log.append(row.as_dict())
    callback.epoch_ended(row)
    _warn_of_faint_terms(row, learner, callback)
