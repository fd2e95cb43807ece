"""Callbacks: the loop calls them at epochs and steps; they change nothing in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from preceptor.data.augment.regions import RegionSearch
from preceptor.divergences import soft_kl
from preceptor.training.engine import Engine
from preceptor.training.plan import Plan
from preceptor.training.state import TrainState
from preceptor.training.teachers import TeacherSource, forward
from preceptor.types import Batch

__all__ = ["Callback", "EpochRow", "FaintTerms", "NearChance", "RegionSearches", "SlowFirstStep"]

Tell = Callable[[str], None]
_CHANCE_ROWS, _CHANCE_STEPS = 500, 50  # with fewer, accuracy near chance is no evidence


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One line of metrics.jsonl: fractions, nats, seconds; `extras` of callbacks beside them.

    `terms` are means over the rows that a term was applied to, unweighted; `weighted` adds up to the loss.
    """

    epoch: int
    step: int
    lr: float
    loss: float
    accuracy: float | None
    terms: Mapping[str, float]
    weights: Mapping[str, float]
    weighted: Mapping[str, float]
    validation: Mapping[str, float]
    seconds: float
    images_per_second: float
    extras: Mapping[str, object] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Return the row as it stands in metrics.jsonl."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self.lr,
            "train": {
                "loss": self.loss,
                "accuracy": self.accuracy,
                "terms": self.terms,
                "weights": self.weights,
                "weighted": self.weighted,
            },
            "validation": dict(self.validation),
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            **self.extras,
        }


class Callback:
    """Hooks that the loop calls; each does nothing unless overridden."""

    def epoch_started(self, state: TrainState) -> None:
        """Called before the first batch of an epoch."""

    def stepped(self, state: TrainState, plan: Plan) -> None:
        """Called after each step; `state.progress` already points to the next one."""

    def epoch_ended(self, row: EpochRow, state: TrainState) -> None:
        """Called after validation, before `state` advances to the next epoch."""

    def columns(self) -> Mapping[str, object]:
        """Return columns to add to the epoch's row."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, plain values by name."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore from a state; names of other callbacks are ignored."""


class NearChance(Callback):
    """Warns when training accuracy is still near chance after many steps on many rows."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def stepped(self, state: TrainState, plan: Plan) -> None:
        """Check once, after a tenth of all steps."""
        step, metrics = state.progress.step, state.metrics
        if step != math.ceil(plan.epochs * state.num_batches / 10) or state.learner.objective.task == "multilabel":
            return
        num_classes, rows = metrics.num_classes, metrics.num_labelled
        if metrics.accuracy is None or rows < _CHANCE_ROWS or step < _CHANCE_STEPS:
            return
        chance = 1 / num_classes
        if metrics.accuracy < chance + 3 * math.sqrt(chance * (1 - chance) / rows):  # three standard deviations
            self._tell(
                f"warning: training accuracy is {100 * metrics.accuracy:.1f} % after a tenth of all steps, near chance for "
                f"{num_classes} classes: this objective has not begun to learn at this rate"
            )


class FaintTerms(Callback):
    """Warns of terms of constant weight that made less than 1 % of the first epoch's loss."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def epoch_ended(self, row: EpochRow, state: TrainState) -> None:
        """Check the first epoch."""
        if row.epoch != 1:
            return
        shares = {name: abs(row.weights[name] * value) for name, value in row.terms.items()}
        loss = sum(shares.values())
        for name, weight in state.learner.objective.weight_of.items():
            if isinstance(weight, float) and name in shares and shares[name] < 0.01 * loss:
                self._tell(
                    f"warning: term {name} made {100 * shares[name] / loss:.2g} % of the loss in epoch 1; is its weight "
                    f"({row.weights[name]:g}) intended?"
                )


class SlowFirstStep(Callback):
    """Reports how long the first step took, in a run that compiles."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._is_first = True

    def stepped(self, state: TrainState, plan: Plan) -> None:
        """Report it once."""
        if self._is_first:
            self._tell(f"engine: the first step, which compiles, took {state.step_seconds:.1f} s")
        self._is_first = False


class RegionSearches(Callback):
    """Repeats the region search of KD+ before the epochs at which it is due.

    Args:
        search: of the run's input policy.
        teacher: with which the student is compared.
        engine: on which both run.
        tell: is called with the result.
    """

    def __init__(self, search: RegionSearch, teacher: TeacherSource, engine: Engine, tell: Tell) -> None:
        self._search = search
        self._teacher = teacher
        self._engine = engine
        self._tell = tell

    def epoch_started(self, state: TrainState) -> None:
        """Search, if this epoch is due."""
        if line := self._search.begin(state.progress.epoch, partial(self._disagreement, state)):
            self._tell(line)

    def columns(self) -> Mapping[str, object]:
        """Return the region of this epoch."""
        return {"region": list(self._search.region)}

    def state_dict(self) -> dict[str, Any]:
        """Return the region."""
        return {"region": list(self._search.region)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the region found before."""
        if "region" in state:
            alpha, patch_size = state["region"]
            self._search.move_to((alpha, patch_size))

    @torch.no_grad()
    def _disagreement(self, state: TrainState, batches: Iterable[Batch], temperature: float) -> float:
        """Return the mean softened KL of the student, in eval mode, to the teacher on some batches."""
        learner, engine = state.learner, self._engine
        was_training = learner.training
        learner.eval()
        sums = torch.zeros(2, device=engine.device)
        try:
            for batch in batches:
                teacher = self._teacher(batch)
                with engine.autocast():
                    student: Tensor = forward(learner.network, batch).logits
                per_row = soft_kl(student, teacher.logits, temperature)
                if batch.share > 0:
                    sums += torch.stack([per_row.sum(), per_row.new_tensor(float(len(per_row)))])
        finally:
            learner.train(was_training)
        total, rows = engine.processes.add(sums).tolist()
        return float(total / rows)
