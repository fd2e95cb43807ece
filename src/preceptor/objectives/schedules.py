"""Weights that change over a run, as data: each schedule is a frozen value, called with the Progress.

A time below 1 is a share of the run, so that defaults fit a run of any length; from 1 on it is a number of epochs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from preceptor.types import Progress

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Cycle",
    "FadeIn",
    "FadeOut",
    "Linear",
    "Schedule",
    "StepAt",
    "WarmUp",
    "Weight",
    "in_epochs",
]


def in_epochs(time: float, epochs: int) -> float:
    """Return a time in epochs: below 1 it is a share of the run.

    Examples:
        >>> in_epochs(20 / 240, 240), in_epochs(20 / 240, 24), in_epochs(20, 24)
        (20.0, 2.0, 20)
    """
    return round(time * epochs, 6) if time < 1 else time


@dataclass(frozen=True, slots=True)
class Schedule(ABC):
    """A weight over time, `peak` at its highest.

    Source of linear, step, cosine and cycle: Dong, Liu, Shang (ICLR 2024, arXiv 2206.06661), released code.
    """

    peak: float = 1.0

    @abstractmethod
    def __call__(self, progress: Progress) -> float:
        """Return the weight at this moment."""

    def largest(self, epochs: int) -> float:
        """Return the largest size of the weight in a run of so many epochs."""
        moments = [(epoch, (epoch - start) / epochs) for epoch in range(1, epochs + 1) for start in (1, 0)]
        return max(abs(self(Progress(epoch, epochs, fraction))) for epoch, fraction in moments)


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
    """0 up to and including epoch `start_at`, peak afterwards; below 1 `start_at` is a share of the run."""

    start_at: float = 50 / 240

    def __call__(self, progress: Progress) -> float:
        return self.peak if progress.epoch > in_epochs(self.start_at, progress.epochs) else 0.0


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
    """peak * min(epoch / over, 1), `over` in epochs or, below 1, a share of the run; 0 is no warm-up.

    The default is that of DKD and ReviewKD: 20 of 240 epochs.
    """

    over: float = 20 / 240

    def __call__(self, progress: Progress) -> float:
        over = in_epochs(self.over, progress.epochs)
        return self.peak if progress.epoch >= over else self.peak * progress.epoch / over


@dataclass(frozen=True, slots=True)
class FadeIn(Schedule):
    """0 before `start`, peak after `end`, a straight line between; both are shares of the run in [0, 1]."""

    start: float = 0.1
    end: float = 0.2

    def __post_init__(self) -> None:
        _check_shares(self.start, self.end)

    def __call__(self, progress: Progress) -> float:
        return self.peak * _ramp(progress.fraction, self.start, self.end)


@dataclass(frozen=True, slots=True)
class FadeOut(Schedule):
    """peak before `start`, 0 after `end`, a straight line between; both are shares of the run in [0, 1]."""

    start: float = 0.1
    end: float = 0.2

    def __post_init__(self) -> None:
        _check_shares(self.start, self.end)

    def __call__(self, progress: Progress) -> float:
        return self.peak * (1 - _ramp(progress.fraction, self.start, self.end))


def _check_shares(start: float, end: float) -> None:
    for name, value in (("start", start), ("end", end)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: {value:g} is not in [0, 1]; it is a share of the run")


def _ramp(progress: float, start: float, end: float) -> float:
    if end <= start:
        return float(progress >= start)
    return min(max((progress - start) / (end - start), 0.0), 1.0)


Weight = float | Schedule
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
