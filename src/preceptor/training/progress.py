"""Where a run stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from preceptor.types import Progress

__all__ = ["TrainProgress"]


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Where a run stands: the next step to take is `batch` (from 0) of `epoch` (from 1).

    Attributes:
        epoch: of the next step.
        batch: of the next step.
        step: how many steps have been taken.
        seconds: of training so far.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    seconds: float = 0.0

    def after_step(self, seconds: float) -> TrainProgress:
        """Return where the run stands after one more step."""
        return replace(self, batch=self.batch + 1, step=self.step + 1, seconds=self.seconds + seconds)

    def before_step(self) -> TrainProgress:
        """Return where the run stood before the last step."""
        return replace(self, batch=self.batch - 1, step=self.step - 1)

    def after_epoch(self) -> TrainProgress:
        """Return where the run stands at the start of the next epoch."""
        return replace(self, epoch=self.epoch + 1, batch=0)

    def of(self, epochs: int, num_batches: int) -> Progress:
        """Return the progress of the next step in a run of `epochs` epochs of `num_batches` batches."""
        return Progress(self.epoch, epochs, self.step / (epochs * num_batches))
