"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from preceptor.artifacts.record import RunRecord
from preceptor.assessment import Metrics
from preceptor.data import Data

__all__ = ["Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run.

    Attributes:
        metrics: on test, read once: accuracy, nll, brier, ece, and the distance to the true label distribution where it is
            known; fewer on multi-label data.
        model: the trained network, a plain nn.Module in eval mode on the CPU.
        path: the run folder.
        record: of the run, result.json: per-epoch history, times, versions, command.
        data: of the run, where they were passed from Python.
    """

    metrics: Metrics
    model: nn.Module
    path: Path
    record: RunRecord
    data: Data | None = field(default=None, repr=False)
