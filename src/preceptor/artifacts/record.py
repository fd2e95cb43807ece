"""The record of a finished run: result.json, typed and versioned; this is its one reader and writer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetPydanticSchema, model_validator
from typing_extensions import Self, TypedDict

from preceptor.checksums import json_with_checksum
from preceptor.documents import read_document
from preceptor.files import write_text
from preceptor.types import InputShape, ModelKeys, Preprocessing, Task, Vocabulary

__all__ = ["EpochScores", "RunRecord", "TeacherResult", "read_record", "write_record"]


def _checked_as(kind: Any) -> GetPydanticSchema:
    """Return what makes pydantic check a dictionary as another type, and leaves it one for everybody else."""
    return GetPydanticSchema(lambda _, handler: handler(kind))


class _TrainRow(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    loss: float
    accuracy: float | None


class _EpochRow(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    epoch: int
    train: _TrainRow
    validation: dict[str, int | float | None]
    images_per_second: float


class _Bar(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    confidence: float | None
    accuracy: float | None
    count: int


Scores = Annotated[dict[str, Any], _checked_as(dict[str, int | float | None])]  # None: a metric without a meaning
TrainScores = Annotated[dict[str, Any], _checked_as(_TrainRow)]
EpochScores = Annotated[dict[str, Any], _checked_as(_EpochRow)]
Bar = Annotated[dict[str, Any], _checked_as(_Bar)]


def _with_accuracy(scores: dict[str, Any]) -> dict[str, Any]:
    if scores.get("accuracy") is None:
        raise ValueError("has no accuracy")
    return scores


class TeacherResult(BaseModel):
    """A student's teacher, measured beside it.

    Attributes:
        name: where it comes from.
        parameters: of its network; of several, of all; 0 where it is no PyTorch module.
        bytes: of its weights, or of its file; 0: not known.
        latency: seconds of a forward pass by batch size, as the student's.
        test: its metrics on test.
        fidelity: how much alike the student's predictions are, see `assessment.compare`; None for multi-label data.
        outcomes: how many test samples both, one and none of them get right; None for multi-label data.
        temperatures: that each network's logits were divided by, where it was calibrated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    parameters: int
    bytes: int
    latency: dict[int, float] | None
    test: Scores
    fidelity: dict[str, float | None] | None
    outcomes: dict[str, int] | None
    temperatures: list[float] = []


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
        test_fingerprint: of the test split.
        source_fingerprint: of all samples of a source without a test split.
        truth_fingerprint: of the true label distribution, where it is known.
        unlabelled_fingerprint: of the samples without labels.
        labels_fingerprint: of what the stored labels depend on.
        teacher_fingerprint: of the teacher's weights; of several, each, with commas between them.
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
        checksums: sha256 of each file that the run leaves, by its name in the folder: weights, kept epochs, modules of the
            objective, metrics.jsonl.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    version: Literal[4] = 4
    kind: Literal["teach", "distill"]
    command: str
    seed: int
    test: Annotated[Scores, AfterValidator(_with_accuracy)]
    test_name: str
    selected_epoch: Annotated[int, Field(ge=1)]
    validation: Scores
    train: TrainScores
    reliability: list[Bar] | None
    history: Annotated[list[EpochScores], Field(min_length=1)]
    seconds: float
    images_per_second: float
    parameters: int
    bytes: int | None = None
    latency: dict[int, float] | None = None
    teacher: TeacherResult | None = None
    task: Task
    num_classes: int
    class_names: tuple[str, ...]
    input_shape: InputShape
    input_dtype: Literal["uint8", "float32"]
    preprocessing: Preprocessing
    vocabulary: Vocabulary | None
    table: dict[str, Any] | None
    data_fingerprint: str
    test_fingerprint: str
    source_fingerprint: str | None
    truth_fingerprint: str | None
    unlabelled_fingerprint: str | None
    labels_fingerprint: str | None
    teacher_fingerprint: str | None
    assistants: list[str]
    start_fingerprint: str | None
    model: ModelKeys
    device: str
    precision: Literal["fp32", "bf16", "fp16"]
    compiled: bool
    versions: dict[str, str]
    git: str | None
    started: str
    finished: str
    checksums: dict[str, str]

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        if len(self.class_names) != self.num_classes:
            raise ValueError(f"num_classes: {self.num_classes}, and there are {len(self.class_names)} class_names")
        return self


def read_record(path: Path) -> RunRecord:
    """Return the record in a file.

    Raises:
        UsageError: when it is missing, damaged, of another version, or was changed since it was written.
    """
    return read_document(path, RunRecord, infinite=True, sealed=True)


def write_record(path: Path, record: RunRecord) -> None:
    """Write a record atomically, with a checksum of the file as its last value.

    Raises:
        RunError: when the disk refuses.
    """
    write_text(path, json_with_checksum(json.dumps(_plain(record.model_dump()), indent=1)))


def _plain(value: Any) -> Any:
    """Return a value with None for every number that is none."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
