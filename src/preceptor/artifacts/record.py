"""The record of a finished run: result.json, typed and versioned; this is its one reader and writer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from preceptor.errors import UsageError
from preceptor.files import write_text
from preceptor.types import Preprocessing, Task

__all__ = ["RunRecord", "TeacherResult", "read_record", "write_record"]


Scores = dict[str, Any]  # metrics by name: numbers, or None where one has no meaning


class TeacherResult(BaseModel):
    """A student's teacher, measured beside it.

    Attributes:
        name: where it comes from.
        parameters: of its network; of several, of all.
        bytes: of its weights.
        latency: seconds of a forward pass by batch size, as the student's.
        test: its metrics on test.
        fidelity: how much alike the student's predictions are, see `assessment.compare`; None for multi-label data.
        outcomes: how many test samples both, one and none of them get right; None for multi-label data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    parameters: int
    bytes: int
    latency: dict[int, float] | None
    test: Scores
    fidelity: dict[str, float | None] | None
    outcomes: dict[str, int] | None


class RunRecord(BaseModel):
    """What came out of a run, and how.

    Attributes:
        version: of this format.
        kind: "teach" or "distill".
        command: that started it.
        seed: of the run.
        test: metrics on the test split, measured once.
        test_name: what the data call the test split.
        selected_epoch: whose weights are the result.
        validation: metrics of those weights on validation.
        train: loss and accuracy of the last epoch.
        reliability: bars of the reliability diagram on test; None for multi-label data.
        history: the rows of metrics.jsonl.
        seconds: of training.
        images_per_second: mean over epochs.
        parameters: of the network.
        bytes: of the weights file.
        latency: seconds of a forward pass by batch size, in float32 on the run's device, the median; None: not measured.
        teacher: of a student, where it ran as a network.
        task: of the network.
        num_classes: of the data.
        class_names: one per class.
        input_shape: of one sample.
        input_dtype: of the samples as they are stored.
        preprocessing: how samples become what the network sees.
        vocabulary: of texts.
        table: how the columns of a table become numbers.
        data_fingerprint: of inputs and labels.
        source_fingerprint: of all samples of a source without a test split.
        truth_fingerprint: of the true label distribution, where it is known.
        teacher_fingerprint: of the teacher's weights.
        assistants: run folders of the teacher assistants.
        start_fingerprint: of the weights that training started from.
        model: the network's section, which makes it again.
        device: it ran on.
        precision: of the forward passes.
        compiled: whether networks were compiled.
        versions: of python, packages and the machine.
        git: commit of the working folder.
        started: when.
        finished: when.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    version: Literal[3] = 3
    kind: Literal["teach", "distill"]
    command: str
    seed: int
    test: Scores
    test_name: str
    selected_epoch: int
    validation: Scores
    train: Scores
    reliability: list[dict[str, float]] | None
    history: list[dict[str, Any]]
    seconds: float
    images_per_second: float
    parameters: int
    bytes: int | None = None
    latency: dict[int, float] | None = None
    teacher: TeacherResult | None = None
    task: Task
    num_classes: int
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    input_dtype: Literal["uint8", "float32"]
    preprocessing: Preprocessing
    vocabulary: dict[str, Any] | None
    table: dict[str, Any] | None
    data_fingerprint: str
    source_fingerprint: str | None
    truth_fingerprint: str | None
    teacher_fingerprint: str | None
    assistants: list[str]
    start_fingerprint: str | None
    model: dict[str, Any]
    device: str
    precision: Literal["fp32", "bf16"]
    compiled: bool
    versions: dict[str, str]
    git: str | None
    started: str
    finished: str


def read_record(path: Path) -> RunRecord:
    """Return the record in a file.

    Raises:
        UsageError: when it is damaged or of another version.
    """
    try:
        return RunRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise UsageError(f"{path}: is no record of a run ({key}: {problem['msg'].lower()})") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error


def write_record(path: Path, record: RunRecord) -> None:
    """Write a record atomically.

    Raises:
        RunError: when the disk refuses.
    """
    write_text(path, json.dumps(record.model_dump(), indent=1, allow_nan=True) + "\n")
