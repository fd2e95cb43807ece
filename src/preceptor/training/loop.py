"""The one training loop, for teachers and students alike; it reads in the order in which things happen."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from preceptor.data import Batches
from preceptor.errors import PreceptorError, RunError, UsageError
from preceptor.models import save_weights
from preceptor.training.averaging import Average, Averaging
from preceptor.training.checkpoint import Best, Position, State, all_finite, load_state, save_state
from preceptor.training.engine import Engine
from preceptor.training.interrupts import Interrupts
from preceptor.training.learner import Learner, TeacherSource
from preceptor.training.optim import LearningRate
from preceptor.training.processes import Processes
from preceptor.training.regions import Region, RegionSearch
from preceptor.training.selection import Selection
from preceptor.training.sharding import load_whole, load_whole_optimizer, own_part, whole_state
from preceptor.training.step import buffers_kept, check_step, take_step
from preceptor.training.tally import Tally
from preceptor.types import Batch, Clock

__all__ = ["Course", "EpochRow", "Interrupted", "Journal", "Plan", "Watcher", "fit"]

_CHANCE_ROWS, _CHANCE_STEPS = 500, 50  # fewer are no evidence that a network does not learn


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how to train.

    Attributes:
        epochs: the length that schedules are made for.
        last_epoch: where training ends, at most `epochs`.
        learning_rate: over the clock.
        selection: which epoch's weights are the result.
        averaging: or the average of which weights.
        checkpoint_every_steps: besides the one at each epoch's end; 0 for none.
        keep_every: keep the weights of every n-th epoch; 0 for none.
        clip_norm: largest gradient norm, or None.
        accumulate: passes that a batch is split into.
    """

    epochs: int
    last_epoch: int
    learning_rate: LearningRate
    selection: Selection = Selection()
    averaging: Averaging = Averaging()
    checkpoint_every_steps: int = 0
    keep_every: int = 0
    clip_norm: float | None = None
    accumulate: int = 1


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One line of metrics.jsonl: fractions, nats, seconds."""

    epoch: int
    step: int
    lr: float
    loss: float
    accuracy: float | None
    terms: Mapping[str, float]
    weights: Mapping[str, float]
    validation: Mapping[str, float]
    seconds: float
    images_per_second: float
    region: Region | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the row as it stands in metrics.jsonl."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self.lr,
            "train": {"loss": self.loss, "accuracy": self.accuracy, "terms": self.terms, "weights": self.weights},
            "validation": dict(self.validation),
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            **({} if self.region is None else {"region": list(self.region)}),
        }


class Watcher(Protocol):
    """Somebody who is told how the run goes."""

    def stepped(self, position: Position, batches: int, plan: Plan, tally: Tally) -> None: ...
    def epoch_ended(self, row: EpochRow) -> None: ...
    def note(self, line: str) -> None: ...


class Journal(Protocol):
    """The append-only record of epochs, which can be cut back to where a checkpoint was written."""

    def append(self, row: Mapping[str, object]) -> None: ...
    def size(self) -> int: ...
    def cut(self, size: int) -> None: ...


class Interrupted(PreceptorError):
    """The run was told to stop and has saved itself; `exit_code` is the shell's for the signal."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Course:
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
    journal: Journal,
    watcher: Watcher,
    checkpoints: Path,
    resume: bool = False,
    search: RegionSearch | None = None,
) -> Course:
    """Train `learner` to the end of its plan, saving as it goes, and leave the selected weights in it.

    Args:
        learner: network and objective, on the engine's device.
        loader: the training split.
        teacher: where the teacher's answers come from, or None.
        optimizer: of the learner's parameters; its learning rate is set at each step.
        plan: length, learning rate, selection, checkpoints.
        engine: device and precision.
        evaluate: measures the network on validation: once an epoch, and at the end what is left in the learner.
        journal: gets a row an epoch.
        watcher: is told of each step and epoch.
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
    position, tally, best = Position(), Tally(learner.objective.running), Best()
    if resume and path.exists():
        position, tally, best = _restore(path, learner, optimizer, average, journal, search, processes)

    def save() -> None:
        _check_weights(learner, engine, position, path)
        processes.settle(learner)
        everyone = tally.over(processes, engine.device)
        state = _state(learner, optimizer, position, everyone, best, average, journal, search)
        if processes.is_first:
            save_state(path, state)

    total_steps = plan.epochs * loader.num_batches
    first_step = position.step + 1
    with Interrupts() as interrupts, buffers_kept(optimizer):
        while position.epoch <= plan.last_epoch:
            _search(search, position, learner, teacher, engine, watcher)
            learner.train()
            began = time.perf_counter()
            for batch in loader.batches(position.epoch, start=position.batch):
                clock = Clock(position.epoch, plan.epochs, position.step / total_steps)
                if culprit := take_step(learner, batch, teacher, optimizer, plan, clock, engine, tally):
                    raise RunError(f"step {position.step}: {culprit} is not finite; {_last_good(path)}")
                now = time.perf_counter()
                tally.add_seconds(now - began)
                position = replace(
                    position, batch=position.batch + 1, step=position.step + 1, seconds=position.seconds + now - began
                )
                average.take(position)
                watcher.stepped(position, loader.num_batches, plan, tally)
                if position.step == first_step and engine.compiles:
                    watcher.note(f"engine: the first step, which compiles, took {now - began:.1f} s")
                if position.step == math.ceil(total_steps / 10) and learner.objective.task != "multilabel":
                    _warn_near_chance(tally, position.step, watcher)
                began = now
                if plan.checkpoint_every_steps and position.step % plan.checkpoint_every_steps == 0:
                    save()
                if processes.any(interrupts.pending is not None, engine.device):
                    save()
                    raise Interrupted(
                        f"interrupted in epoch {position.epoch}, step {position.step}: saved; resume=true goes on from here",
                        128 + (interrupts.pending or signal.SIGTERM),
                    )
            processes.settle(learner)
            row = _row(learner, position, tally.over(processes, engine.device), plan, total_steps, evaluate(), search)
            _report(row, learner, journal, watcher)
            best = _better(best, row, plan.selection, learner)
            _keep(plan, position.epoch, learner, checkpoints, processes)
            tally = Tally(tally.terms)
            position = replace(position, epoch=position.epoch + 1, batch=0)
            save()
    _put_result(best, average, learner, loader.batches(position.epoch), engine)
    return Course(best.epoch or plan.last_epoch, position.seconds, evaluate())


def _search(
    search: RegionSearch | None,
    position: Position,
    learner: Learner,
    teacher: TeacherSource | None,
    engine: Engine,
    watcher: Watcher,
) -> None:
    if search is None or position.batch > 0:
        return
    assert teacher is not None, "a search compares with a teacher"
    if line := search.begin(position.epoch, learner, teacher, engine):
        watcher.note(line)


def _check_weights(learner: Learner, engine: Engine, position: Position, path: Path) -> None:
    is_finite = all_finite(own_part(tensor) for tensor in learner.state_dict().values())
    if engine.processes.any(not is_finite, engine.device):
        way_out = "; precision=fp32 may do" if engine.precision == "bf16" else ""
        raise RunError(f"step {position.step}: weights are no longer finite; {_last_good(path)}{way_out}")


def _last_good(path: Path) -> str:
    return f"the last good checkpoint is {path}" if path.exists() else "no checkpoint had been written yet"


def _warn_near_chance(tally: Tally, step: int, watcher: Watcher) -> None:
    """Say that nothing has been learnt where the rows of this epoch are evidence of it: many, after many steps, at chance."""
    num_classes, rows = tally.num_classes, tally.num_labelled
    if tally.accuracy is None or rows < _CHANCE_ROWS or step < _CHANCE_STEPS:
        return
    chance = 1 / num_classes
    if tally.accuracy < chance + 3 * math.sqrt(chance * (1 - chance) / rows):  # what luck alone gives
        watcher.note(
            f"warning: training accuracy is {100 * tally.accuracy:.1f} % after a tenth of all steps, near chance for "
            f"{num_classes} classes: this objective has not begun to learn at this rate"
        )


def _report(row: EpochRow, learner: Learner, journal: Journal, watcher: Watcher) -> None:
    journal.append(row.as_dict())
    watcher.epoch_ended(row)
    _warn_of_faint_terms(row, learner, watcher)


def _warn_of_faint_terms(row: EpochRow, learner: Learner, watcher: Watcher) -> None:
    """Name the terms of constant weight that made less than 1 % of the first epoch's loss."""
    parts = {name: abs(row.weights[name] * value) for name, value in row.terms.items()}
    whole = sum(parts.values())
    constant = [name for name, weight in learner.objective.weight_of.items() if isinstance(weight, float)]
    for name in constant if row.epoch == 1 else ():
        if name in parts and parts[name] < 0.01 * whole:
            watcher.note(
                f"warning: term {name} made {100 * parts[name] / whole:.2g} % of the loss in epoch 1; is its weight "
                f"({row.weights[name]:g}) meant?"
            )


def _row(
    learner: Learner,
    position: Position,
    tally: Tally,
    plan: Plan,
    total_steps: int,
    validation: Mapping[str, float],
    search: RegionSearch | None,
) -> EpochRow:
    clock = Clock(position.epoch, plan.epochs, (position.step - 1) / total_steps)
    return EpochRow(
        epoch=position.epoch,
        step=position.step,
        lr=plan.learning_rate(clock),
        loss=tally.loss,
        accuracy=tally.accuracy,
        terms=tally.term_means,
        weights=learner.objective.weights(clock),
        validation=validation,
        seconds=position.seconds,
        images_per_second=tally.images_per_second,
        region=None if search is None else search.region,
    )


def _keep(plan: Plan, epoch: int, learner: Learner, checkpoints: Path, processes: Processes) -> None:
    if plan.keep_every and epoch % plan.keep_every == 0:
        network = learner.whole_network()
        if processes.is_first:
            checkpoints.mkdir(parents=True, exist_ok=True)
            save_weights(network, checkpoints / f"epoch_{epoch:04d}.safetensors")


def _better(best: Best, row: EpochRow, selection: Selection, learner: Learner) -> Best:
    score = selection.score(row.validation)
    if score is None or score >= best.value:
        return best
    whole = whole_state(learner.network.model.state_dict())
    weights = {name: tensor.detach().cpu().clone() for name, tensor in whole.items()}
    return Best(score, row.epoch, weights)


def _put_result(best: Best, average: Average, learner: Learner, batches: Iterable[Batch], engine: Engine) -> None:
    """Put the selected or averaged weights into the learner, where the last ones are not what counts."""
    if best.weights:
        load_whole(learner.network.model, best.weights)
    average.settle(batches, engine)
    engine.processes.settle(learner)


def _state(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    position: Position,
    tally: Tally,
    best: Best,
    average: Average,
    journal: Journal,
    search: RegionSearch | None,
) -> State:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return State(
        learner=whole_state(learner.state_dict()),
        optimizer=whole_state(optimizer.state_dict()),
        position=position,
        tally=tally.values,
        best=best,
        journal_bytes=journal.size(),
        random=torch.get_rng_state(),
        cuda_random=cuda,
        region=None if search is None else search.region,
        average=whole_state(average.state),
    )


def _restore(
    path: Path,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    average: Average,
    journal: Journal,
    search: RegionSearch | None,
    processes: Processes,
) -> tuple[Position, Tally, Best]:
    state = load_state(path)
    try:
        load_whole(learner, state.learner)
        load_whole_optimizer(optimizer, state.optimizer)
        average.restore(state.average)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"checkpoint {path}: does not fit this run ({str(error).splitlines()[0]})") from error
    journal.cut(state.journal_bytes)
    torch.set_rng_state(state.random)
    if search is not None and state.region is not None:
        search.move_to(state.region)
    if state.cuda_random and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state.cuda_random)
    return state.position, Tally(learner.objective.running, state.tally).continued(processes), state.best
