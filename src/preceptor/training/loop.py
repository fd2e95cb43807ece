"""The one training loop, for teachers and students alike; it reads in the order in which things happen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch._functorch import config as functorch_config

from preceptor.data import Loader
from preceptor.errors import PreceptorError, RunError, UsageError
from preceptor.models import save_weights
from preceptor.objectives.base import total
from preceptor.training.checkpoint import Best, Position, State, all_finite, load_state, save_state
from preceptor.training.dot import DOT
from preceptor.training.engine import Engine
from preceptor.training.interrupts import Interrupts
from preceptor.training.learner import Learner, TeacherSource
from preceptor.training.optim import LearningRate
from preceptor.training.selection import Selection
from preceptor.training.tally import Tally
from preceptor.types import Batch, Clock

__all__ = ["Course", "EpochRow", "Interrupted", "Journal", "Plan", "Watcher", "fit"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how to train.

    Attributes:
        epochs: the length that schedules are made for.
        last_epoch: where training ends, at most `epochs`.
        learning_rate: over the clock.
        selection: which epoch's weights are the result.
        checkpoint_every_steps: besides the one at each epoch's end; 0 for none.
        keep_every: keep the weights of every n-th epoch; 0 for none.
        clip_norm: largest gradient norm, or None.
    """

    epochs: int
    last_epoch: int
    learning_rate: LearningRate
    selection: Selection = Selection()
    checkpoint_every_steps: int = 0
    keep_every: int = 0
    clip_norm: float | None = None


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One line of metrics.jsonl: fractions, nats, seconds."""

    epoch: int
    step: int
    lr: float
    loss: float
    accuracy: float
    terms: Mapping[str, float]
    weights: Mapping[str, float]
    validation: Mapping[str, float]
    seconds: float
    images_per_second: float

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
    """How a run ended: the epoch whose weights the learner now holds, and the training time in seconds."""

    selected_epoch: int
    seconds: float


def fit(
    learner: Learner,
    *,
    loader: Loader,
    teacher: TeacherSource | None,
    optimizer: torch.optim.Optimizer,
    plan: Plan,
    engine: Engine,
    evaluate: Callable[[], Mapping[str, float]],
    journal: Journal,
    watcher: Watcher,
    checkpoints: Path,
    resume: bool = False,
) -> Course:
    """Train `learner` to the end of its plan, saving as it goes, and leave the selected weights in it.

    Args:
        learner: network and objective, on the engine's device.
        loader: the training split.
        teacher: where the teacher's answers come from, or None.
        optimizer: of the learner's parameters; its learning rate is set at each step.
        plan: length, learning rate, selection, checkpoints.
        engine: device and precision.
        evaluate: measures the network on validation, once an epoch.
        journal: gets a row an epoch.
        watcher: is told of each step and epoch.
        checkpoints: the folder for `last.pt` and kept epochs.
        resume: go on from `last.pt` where there is one.

    Raises:
        UsageError: when the plan and the optimiser cannot go together, or a checkpoint does not fit.
        RunError: when the loss or the weights stop being finite, or the disk refuses; the last good checkpoint stays.
        Interrupted: after SIGINT or SIGTERM, once everything is saved.
    """
    if plan.clip_norm is not None and isinstance(optimizer, DOT):
        raise UsageError(
            f"clip_norm: {plan.clip_norm} cannot be used with optim=dot, whose two gradients it does not see"
        )
    path = checkpoints / "last.pt"
    position, tally, best = Position(), Tally(learner.objective.running), Best()
    if resume and path.exists():
        position, tally, best = _restore(load_state(path), path, learner, optimizer, journal)

    def save() -> None:
        if not all_finite(learner.state_dict().values()):
            raise RunError(f"step {position.step}: weights are no longer finite; {_last_good(path)}")
        save_state(path, _state(learner, optimizer, position, tally, best, journal))

    total_steps = plan.epochs * loader.num_batches
    first_step = position.step + 1
    with Interrupts() as interrupts, _buffers_kept(optimizer):
        while position.epoch <= plan.last_epoch:
            learner.train()
            began = time.perf_counter()
            for batch in loader.batches(position.epoch, start=position.batch):
                clock = Clock(position.epoch, plan.epochs, position.step / total_steps)
                loss, logits, terms = _step(learner, batch, teacher, optimizer, plan, clock, engine)
                if not torch.isfinite(loss):
                    raise RunError(f"step {position.step}: {_culprit(terms)} is not finite; {_last_good(path)}")
                tally.add(logits, batch.labels, loss, terms)
                now = time.perf_counter()
                tally.add_seconds(now - began)
                position = replace(
                    position, batch=position.batch + 1, step=position.step + 1, seconds=position.seconds + now - began
                )
                watcher.stepped(position, loader.num_batches, plan, tally)
                if position.step == first_step and engine.compiles:
                    watcher.note(f"engine: the first step, which compiles, took {now - began:.1f} s")
                if position.step == math.ceil(total_steps / 10) and learner.objective.task != "multilabel":
                    _warn_near_chance(tally, logits.shape[1], watcher)
                began = now
                if plan.checkpoint_every_steps and position.step % plan.checkpoint_every_steps == 0:
                    save()
                if interrupts.pending is not None:
                    save()
                    raise Interrupted(
                        f"interrupted in epoch {position.epoch}, step {position.step}: saved; resume=true goes on from here",
                        128 + interrupts.pending,
                    )
            row = _row(learner, position, tally, plan, total_steps, evaluate())
            journal.append(row.as_dict())
            watcher.epoch_ended(row)
            for line in _faint_terms(row, learner) if position.epoch == 1 else ():
                watcher.note(line)
            best = _better(best, row, plan.selection, learner)
            if plan.keep_every and position.epoch % plan.keep_every == 0:
                checkpoints.mkdir(parents=True, exist_ok=True)
                save_weights(learner.network.model, checkpoints / f"epoch_{position.epoch:04d}.safetensors")
            tally = Tally(tally.terms)
            position = replace(position, epoch=position.epoch + 1, batch=0)
            save()
    if best.weights:
        learner.network.model.load_state_dict(best.weights)
    return Course(best.epoch or plan.last_epoch, position.seconds)


def _step(
    learner: Learner,
    batch: Batch,
    teacher: TeacherSource | None,
    optimizer: torch.optim.Optimizer,
    plan: Plan,
    clock: Clock,
    engine: Engine,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    answers = None if teacher is None else teacher(batch)
    with engine.autocast():
        terms, logits = learner(batch, answers, clock)
        weights = learner.objective.weights(clock)
        loss = total(terms, weights)
    if torch.isfinite(loss):  # a bad loss must not reach the weights
        _backward(loss, terms, weights, learner, optimizer)
        if plan.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(learner.parameters(), plan.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate(clock)
        optimizer.step()
    return loss.detach(), logits.detach(), {name: term.detach() for name, term in terms.items()}


def _buffers_kept(optimizer: torch.optim.Optimizer) -> AbstractContextManager[object]:
    """Let compiled networks keep their buffers for DOT's second backward pass through them."""
    is_needed = isinstance(optimizer, DOT)
    return functorch_config.patch(donated_buffer=False) if is_needed else nullcontext()


def _backward(
    loss: Tensor,
    terms: Mapping[str, Tensor],
    weights: Mapping[str, float],
    learner: Learner,
    optimizer: torch.optim.Optimizer,
) -> None:
    if isinstance(optimizer, DOT):
        sides: dict[bool, dict[str, Tensor]] = {False: {}, True: {}}
        for name, objective in learner.objective.named_terms():
            if name in terms and weights[name] != 0.0:
                sides[objective.uses_teacher][name] = terms[name]
        optimizer.backward(*(total(side, weights) if side else None for side in sides.values()))
        return
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]


def _culprit(terms: Mapping[str, Tensor]) -> str:
    bad = [f"{name} = {float(term)}" for name, term in terms.items() if not torch.isfinite(term)]
    return "term " + ", ".join(bad) if bad else "the weighted sum of the terms"


def _last_good(path: Path) -> str:
    return f"the last good checkpoint is {path}" if path.exists() else "no checkpoint had been written yet"


def _warn_near_chance(tally: Tally, num_classes: int, watcher: Watcher) -> None:
    chance = 1 / num_classes
    if tally.num_labelled >= 200 and tally.accuracy < chance + min(chance / 2, 0.05):
        watcher.note(
            f"warning: training accuracy is {100 * tally.accuracy:.1f} % after a tenth of all steps, near chance for "
            f"{num_classes} classes: this objective has not begun to learn at this rate"
        )


def _faint_terms(row: EpochRow, learner: Learner) -> list[str]:
    """Name the terms of constant weight that made less than 1 % of the first epoch's loss."""
    parts = {name: abs(row.weights[name] * value) for name, value in row.terms.items()}
    whole = sum(parts.values())
    constant = [name for name, weight in learner.objective.weight_of.items() if isinstance(weight, float)]
    return [
        f"warning: term {name} made {100 * parts[name] / whole:.2g} % of the loss in epoch 1; is its weight "
        f"({row.weights[name]:g}) meant?"
        for name in constant
        if name in parts and parts[name] < 0.01 * whole
    ]


def _row(
    learner: Learner, position: Position, tally: Tally, plan: Plan, total_steps: int, validation: Mapping[str, float]
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
    )


def _better(best: Best, row: EpochRow, selection: Selection, learner: Learner) -> Best:
    score = selection.score(row.validation)
    if score is None or score >= best.value:
        return best
    weights = {name: tensor.detach().cpu().clone() for name, tensor in learner.network.model.state_dict().items()}
    return Best(score, row.epoch, weights)


def _state(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    position: Position,
    tally: Tally,
    best: Best,
    journal: Journal,
) -> State:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return State(
        learner=learner.state_dict(),
        optimizer=optimizer.state_dict(),
        position=position,
        tally=tally.values,
        best=best,
        journal_bytes=journal.size(),
        random=torch.get_rng_state(),
        cuda_random=cuda,
    )


def _restore(
    state: State, path: Path, learner: Learner, optimizer: torch.optim.Optimizer, journal: Journal
) -> tuple[Position, Tally, Best]:
    try:
        learner.load_state_dict(state.learner)
        optimizer.load_state_dict(state.optimizer)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"checkpoint {path}: does not fit this run ({str(error).splitlines()[0]})") from error
    journal.cut(state.journal_bytes)
    torch.set_rng_state(state.random)
    if state.cuda_random and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state.cuda_random)
    return state.position, Tally(learner.objective.running, state.tally), state.best
