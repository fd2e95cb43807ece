"""The result of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from preceptor.artifacts.record import RunRecord
from preceptor.assessment import Metrics
from preceptor.data import Data
from preceptor.messages import as_bytes, as_count, as_duration, as_milliseconds
from preceptor.runner.banner import shown_name

__all__ = ["Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run; printed, six lines.

    Attributes:
        metrics: on test, read once: accuracy, nll, brier, ece, and the distance to the true label distribution where it is
            known; fewer on multi-label data.
        model: the trained network, a plain nn.Module in eval mode on the CPU.
        path: the run folder.
        record: of the run, result.json: per-epoch history, times, versions, command.
        data: of the run, where they were passed from Python.
    """

    metrics: Metrics
    model: nn.Module = field(repr=False)
    path: Path
    record: RunRecord = field(repr=False)
    data: Data | None = field(default=None, repr=False)

    def __str__(self) -> str:
        record = self.record
        role = "student" if record.kind == "distill" else "network"
        return "\n".join(
            (
                f"{role} {shown_name(str(record.model['name']))}, seed {record.seed}",
                f"{record.test_name:<11}{_scores(record.test)}, {record.test['samples']:,} samples",
                self._compared(),
                f"{'network':<11}{as_count(record.parameters)} parameters{_size(record)}",
                f"{'training':<11}{len(record.history)} epochs in {as_duration(record.seconds)} on {record.device}",
                f"{'saved':<11}{self.path}",
            )
        )

    def _compared(self) -> str:
        """Return the line on the teacher; of a run without one, that on validation."""
        teacher, validation = self.record.teacher, self.record.validation
        if teacher is not None:
            agreement = (
                "" if teacher.fidelity is None else f", agreement {100 * (teacher.fidelity['agreement'] or 0):.1f} %"
            )
            return f"{'teacher':<11}{_scores(teacher.test)}{agreement}, {teacher.name}"
        return f"{'validation':<11}{_scores(validation) if validation else 'none was held out'}"


def _scores(scores: Mapping[str, Any]) -> str:
    ece = "" if scores.get("ece") is None else f", ECE {100 * scores['ece']:.1f} %"
    return f"accuracy {100 * scores['accuracy']:.1f} %, NLL {scores['nll']:.3f}{ece}"


def _size(record: RunRecord) -> str:
    times = (
        ""
        if not record.latency
        else "".join(f", {as_milliseconds(seconds)} ms for {size}" for size, seconds in sorted(record.latency.items()))
    )
    return ("" if record.bytes is None else f", {as_bytes(record.bytes)}") + times
