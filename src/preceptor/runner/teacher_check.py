"""A teacher measured before it teaches: its accuracy, and what is warned of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from preceptor.artifacts.identify import is_run
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment.scores import accuracy
from preceptor.config.sections import TeacherSection
from preceptor.errors import UsageError
from preceptor.runner.load import LoadedInputs
from preceptor.runner.score import predict_split
from preceptor.runner.teachers import TeacherSet
from preceptor.training import Engine
from preceptor.types import Task

__all__ = ["TeacherCheck", "check_logits", "measure_teachers"]

_ROWS = 1000
_BATCH_SIZE = 256
_FALL = 0.1  # accuracy below its own record from which something is wrong, besides luck


@dataclass(frozen=True, slots=True)
class TeacherCheck:
    """What a teacher's logits are worth.

    Attributes:
        accuracy: a fraction.
        samples: how many it was measured on.
        split: that they are of.
        warnings: of what a teacher's logits should not be, a line each.
    """

    accuracy: float
    samples: int
    split: str
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.split} accuracy {100 * self.accuracy:.1f} % ({self.samples:,} samples)"


def measure_teachers(
    teachers: TeacherSet, inputs: LoadedInputs, engine: Engine, section: TeacherSection
) -> tuple[TeacherCheck, ...]:
    """Return what each teacher is worth on at most 1,000 rows of validation.

    Without validation the rows are of training, as they are for stored labels.

    Args:
        teachers: of the run, on the engine's device.
        inputs: data and stored labels.
        engine: on which they run.
        section: names them; of a run its own record is compared.

    Raises:
        UsageError: for logits that are not finite.
    """
    data = inputs.data
    checks: list[TeacherCheck] = []
    if teachers.store is not None:
        index = _spread(len(data.train))
        logits = teachers.store.logits(1, index)
        return (check_logits("labels", logits, data.train.labels[index], data.task, "training", None),)
    split, name = (data.validation, "validation") if len(data.validation) else (data.train, "training")
    if not split.has_rows:
        return ()
    known = _own_accuracy(section) if len(teachers.networks) == 1 else None
    rows = split.take(_spread(len(split)))
    for number, network in enumerate(teachers.networks, start=1):
        who = "teacher" if len(teachers.networks) == 1 else f"teacher {number}"
        logits = predict_split(network, rows, data, engine, _BATCH_SIZE * engine.processes.world_size)
        checks.append(check_logits(who, logits, rows.labels, data.task, name, known))
    return tuple(checks)


def check_logits(
    who: str, logits: Tensor, labels: Tensor, task: Task, split: str, own_accuracy: float | None
) -> TeacherCheck:
    """Return the accuracy of logits, and warnings of what a teacher's logits should not be.

    Args:
        who: the teacher, for the lines.
        logits: [rows, classes].
        labels: of the rows.
        task: of the data.
        split: that the rows are of, for the lines.
        own_accuracy: what the teacher's own run measured, or None.

    Raises:
        UsageError: for logits that are not finite.
    """
    bad = int((~torch.isfinite(logits).all(1)).sum())
    if bad:
        raise UsageError(f"{who}: {bad:,} of {len(logits):,} rows of its logits on {split} are not finite")
    is_right = ((logits > 0) == (labels == 1)).float().mean() if labels.ndim == 2 else None
    found = accuracy(logits, labels) if is_right is None else float(is_right)
    lines: list[str] = []
    if len(logits) > 1 and float((logits - logits[0]).abs().max()) < 1e-6:
        lines.append(f"warning: {who} returns the same logits for every sample: are its weights and inputs right?")
    elif _are_probabilities(logits, task):
        lines.append(
            f"warning: {who} returns probabilities, and logits are expected: a softmax of them is nearly uniform; return "
            "what stands before the last softmax or sigmoid"
        )
    chance = 1 / logits.shape[1]
    if task != "multilabel" and found < chance + 3 * math.sqrt(chance * (1 - chance) / len(logits)):
        lines.append(
            f"warning: {who}: {100 * found:.1f} % is near chance for {logits.shape[1]} classes: are its classes in the "
            "data's order, its inputs normalised as when it was trained?"
        )
    elif own_accuracy is not None and found < own_accuracy - _FALL - 3 * math.sqrt(0.25 / len(logits)):
        lines.append(
            f"warning: {who}: its own run had {100 * own_accuracy:.1f} % on test: are these the same classes and inputs?"
        )
    return TeacherCheck(found, len(logits), split, tuple(lines))


def _are_probabilities(logits: Tensor, task: Task) -> bool:
    """Say whether outputs are what a softmax, or a sigmoid, returns; one output of two classes reads (0, output)."""
    is_one_output = logits.shape[1] == 2 and not bool(logits[:, 0].any())
    if task == "multilabel" or is_one_output:
        return bool(((logits >= 0) & (logits <= 1)).all())
    return bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-2).all())


def _spread(length: int) -> Tensor:
    """Return the numbers of at most 1,000 rows, evenly spread over so many."""
    return torch.linspace(0, length - 1, min(length, _ROWS)).long()


def _own_accuracy(section: TeacherSection) -> float | None:
    """Return the test accuracy of the run that a section names, where it names one, and its result."""
    if not isinstance(section.path, str) or section.epoch is not None or not Path(section.path).is_dir():
        return None
    folder = RunFolder(section.path)
    if not is_run(folder.path) or not folder.is_finished:
        return None
    found: float | None = folder.read_record().test.get("accuracy")
    return found
