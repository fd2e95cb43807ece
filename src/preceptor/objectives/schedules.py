"""Weights that change over a run, as data: each schedule is a frozen value, called with the Progress."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from preceptor.types import Progress

__all__ = ["SCHEDULES", "Constant", "Cosine", "Cycle", "FadeIn", "FadeOut", "Linear", "Schedule", "StepAt", "WarmUp"]


@dataclass(frozen=True, slots=True)
class Schedule(ABC):
    """A weight over time, `peak` at its highest.

    Source of linear, step, cosine and cycle: Dong, Liu, Shang (ICLR 2024, arXiv 2206.06661), released code.
    """

    peak: float = 1.0

    @abstractmethod
    def __call__(self, progress: Progress) -> float:
        """Return the weight at this moment."""


@dataclass(frozen=True, slots=True)
class Constant(Schedule):
    """peak, always."""

    def __call__(self, progress: Progress) -> float:
        return self.peak


@dataclass(frozen=True, slots=True)
class Linear(Schedule):
    """peak * epoch / epochs: the whole peak in the last epoch."""

    def __call__(self, progress: Progress) -> float:
        return self.peak * progress.epoch / progress.epochs


@dataclass(frozen=True, slots=True)
class StepAt(Schedule):
    """0 up to and including epoch `start_at`, peak afterwards."""

    start_at: int = 50

    def __call__(self, progress: Progress) -> float:
        return self.peak if progress.epoch > self.start_at else 0.0


@dataclass(frozen=True, slots=True)
class Cosine(Schedule):
    """peak * cos((1 - epoch / epochs) * pi / 2)."""

    def __call__(self, progress: Progress) -> float:
        return self.peak * math.cos((1 - progress.epoch / progress.epochs) * math.pi / 2)


@dataclass(frozen=True, slots=True)
class Cycle(Schedule):
    """peak * sqrt(1 - (1 - epoch / epochs)^2): a quarter circle."""

    def __call__(self, progress: Progress) -> float:
        return self.peak * math.sqrt(1 - (1 - progress.epoch / progress.epochs) ** 2)


@dataclass(frozen=True, slots=True)
class WarmUp(Schedule):
    """peak * min(epoch / over, 1): the warm-up of DKD and ReviewKD, `over` in epochs; 0 is no warm-up."""

    over: int = 20

    def __call__(self, progress: Progress) -> float:
        return self.peak if progress.epoch >= self.over else self.peak * progress.epoch / self.over


@dataclass(frozen=True, slots=True)
class FadeIn(Schedule):
    """0 before `start`, peak after `end`, a straight line between; both are shares of the run in [0, 1]."""

    start: float = 0.1
    end: float = 0.2

    def __call__(self, progress: Progress) -> float:
        return self.peak * _ramp(progress.fraction, self.start, self.end)


@dataclass(frozen=True, slots=True)
class FadeOut(Schedule):
    """peak before `start`, 0 after `end`, a straight line between; both are shares of the run in [0, 1]."""

    start: float = 0.1
    end: float = 0.2

    def __call__(self, progress: Progress) -> float:
        return self.peak * (1 - _ramp(progress.fraction, self.start, self.end))


def _ramp(progress: float, start: float, end: float) -> float:
    if end <= start:
        return float(progress >= start)
    return min(max((progress - start) / (end - start), 0.0), 1.0)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "linear": Linear,
    "step": StepAt,
    "cosine": Cosine,
    "cycle": Cycle,
    "warmup": WarmUp,
    "fade_in": FadeIn,
    "fade_out": FadeOut,
}
