"""What watches a run: progress, the log of its epochs, warnings of what hardly was intended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from preceptor.data.augment.regions import Region, RegionSearch
from preceptor.training.checkpoint import TrainProgress
from preceptor.training.learner import Learner
from preceptor.training.metrics import RunningMetrics
from preceptor.training.plan import Plan
from preceptor.types import Progress

__all__ = ["Callback", "EpochRow", "MetricsLog"]

_CHANCE_ROWS, _CHANCE_STEPS = 500, 50  # fewer are no evidence that a network does not learn


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


class Callback(Protocol):
    """Somebody who is told how the run goes."""

    def stepped(self, position: TrainProgress, batches: int, plan: Plan, metrics: RunningMetrics) -> None: ...
    def epoch_ended(self, row: EpochRow) -> None: ...
    def note(self, line: str) -> None: ...


class MetricsLog(Protocol):
    """The append-only record of epochs, which can be cut back to where a checkpoint was written."""

    def append(self, row: Mapping[str, object]) -> None: ...
    def size(self) -> int: ...
    def cut(self, size: int) -> None: ...


def _warn_near_chance(metrics: RunningMetrics, step: int, callback: Callback) -> None:
    """Say that nothing has been learnt where the rows of this epoch are evidence of it: many, after many steps, at chance."""
    num_classes, rows = metrics.num_classes, metrics.num_labelled
    if metrics.accuracy is None or rows < _CHANCE_ROWS or step < _CHANCE_STEPS:
        return
    chance = 1 / num_classes
    if metrics.accuracy < chance + 3 * math.sqrt(chance * (1 - chance) / rows):  # what luck alone gives
        callback.note(
            f"warning: training accuracy is {100 * metrics.accuracy:.1f} % after a tenth of all steps, near chance for "
            f"{num_classes} classes: this objective has not begun to learn at this rate"
        )


def _warn_of_faint_terms(row: EpochRow, learner: Learner, callback: Callback) -> None:
    """Name the terms of constant weight that made less than 1 % of the first epoch's loss."""
    parts = {name: abs(row.weights[name] * value) for name, value in row.terms.items()}
    whole = sum(parts.values())
    constant = [name for name, weight in learner.objective.weight_of.items() if isinstance(weight, float)]
    for name in constant if row.epoch == 1 else ():
        if name in parts and parts[name] < 0.01 * whole:
            callback.note(
                f"warning: term {name} made {100 * parts[name] / whole:.2g} % of the loss in epoch 1; is its weight "
                f"({row.weights[name]:g}) meant?"
            )


def _row(
    learner: Learner,
    position: TrainProgress,
    metrics: RunningMetrics,
    plan: Plan,
    total_steps: int,
    validation: Mapping[str, float],
    search: RegionSearch | None,
) -> EpochRow:
    progress = Progress(position.epoch, plan.epochs, (position.step - 1) / total_steps)
    return EpochRow(
        epoch=position.epoch,
        step=position.step,
        lr=plan.learning_rate(progress),
        loss=metrics.loss,
        accuracy=metrics.accuracy,
        terms=metrics.term_means,
        weights=learner.objective.weights(progress),
        validation=validation,
        seconds=position.seconds,
        images_per_second=metrics.images_per_second,
        region=None if search is None else search.region,
    )
