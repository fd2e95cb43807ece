"""How long and how to train."""

from __future__ import annotations

from dataclasses import dataclass

from preceptor.training.optimizers.optim import LearningRate
from preceptor.training.selection import Selection
from preceptor.training.settings import Averaging

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how to train.

    Attributes:
        epochs: the length of the schedules.
        last_epoch: where training ends, at most `epochs`.
        learning_rate: over the progress.
        selection: which epoch's weights are the result.
        averaging: whether the result is an average of weights, and of which.
        checkpoint_every_steps: checkpoints besides the one after each epoch; 0 for none.
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
