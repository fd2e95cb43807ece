"""The recipes as data: every key that can be set, its type, its default and what it means.

What a recipe leaves open, the data's protocol decides; the resolved recipe, the one in a run folder, leaves nothing open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from preceptor.config.networks import (
    LISTED,
    ModelSection,
    OnnxSection,
    OpenSection,
    PredictionsSection,
    TeacherSection,
)
from preceptor.signature import Settings
from preceptor.training.settings import Averaging, EngineName, OptimizerSettings, Precision, RateSchedule
from preceptor.types import Sharding, TrackerName

__all__ = [
    "PROTOCOL_KEYS",
    "AnyRecipe",
    "DataSection",
    "DistillRecipe",
    "InputsSection",
    "LabelRecipe",
    "ModelSection",
    "ObjectiveSection",
    "OnnxSection",
    "PredictionsSection",
    "Recipe",
    "StudentInputs",
    "TeachRecipe",
    "TeacherSection",
]

# keys of training's own sections that the protocol decides where the recipe leaves them open
PROTOCOL_KEYS = {"optim": ("name", "lr", "weight_decay"), "schedule": ("name",)}

_DEVICE = Annotated[str, Field(description="auto, cpu, cuda, cuda:1, mps")]
_ENGINE = Annotated[
    EngineName,
    Field(description="fast: bf16 and compiled; plain: fp32, not compiled; auto: bf16, compiled where that pays"),
]
_WORKERS = Annotated[int, Field(ge=0, le=1024, description="processes that read ahead samples that are not in memory")]


class DataSection(OpenSection):
    """Where the samples come from; other keys (root, size, ...) belong to the source."""

    name: Annotated[str, Field(description="a source of `preceptor list data`, e.g. cifar100, folder:PATH, npz:PATH")]
    validation: Annotated[
        float | None,
        Field(ge=0, lt=1, description="share of train held out, stratified (protocol: 0.02 for CIFAR, else 0.1)"),
    ] = None
    limit: Annotated[int | None, Field(ge=1, description="train on this many samples only")] = None
    test_limit: Annotated[int | None, Field(ge=1, description="validate and test on at most this many samples")] = None
    split_seed: Annotated[int, Field(ge=0, description="of the train/validation split; not tied to `seed`")] = 0
    labelled_fraction: Annotated[
        float | None,
        Field(gt=0, lt=1, description="labelled share of train: teachers train on it, students see the rest too"),
    ] = None
    view: Annotated[
        str | None, Field(description="augmentation, parts joined by +; +PART adds to the source's own")
    ] = None


class ObjectiveSection(OpenSection):
    """What is minimised; other keys are hyperparameters of the named objective, or the names of terms with theirs."""

    name: Annotated[
        str | None, Field(description="of `preceptor list objectives` or `methods`, PKG.MODULE:CLASS; none: the terms")
    ] = None


class InputsSection(OpenSection):
    """Where the networks are evaluated; other keys are hyperparameters of the named policy."""

    name: Annotated[str, Field(description="of `preceptor list inputs`: the samples, or inputs beyond them")] = "real"


@dataclass(frozen=True, slots=True)
class StudentInputs:
    """What only a student learns from; in a recipe of a teacher, all defaults."""

    teacher: TeacherSection = TeacherSection()
    labels: str | None = None
    unlabelled: DataSection | None = None
    unlabelled_ratio: float = 1.0


class Recipe(Settings):
    """What teachers and students have in common."""

    kind: ClassVar[Literal["teach", "distill"]]
    role: ClassVar[str]
    terms_key: ClassVar[str]
    has_teacher: ClassVar[bool]

    @property
    def terms(self) -> ObjectiveSection:
        """What is minimised."""
        raise NotImplementedError

    @property
    def student_inputs(self) -> StudentInputs:
        """What only a student learns from."""
        return StudentInputs()

    @property
    def stop_epoch(self) -> int | None:
        """The epoch whose weights count, where `stop_at` states one."""
        return self.stop_at if isinstance(self.stop_at, int) else None

    @property
    def stop_rule(self) -> str | None:
        """How validation chooses the weights that count, where `stop_at` states that."""
        return None if self.stop_epoch is not None or self.stop_at == "last" else str(self.stop_at)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values by key; None where the protocol decides."""
        values = self.model_dump(mode="json")
        for section, keys in PROTOCOL_KEYS.items():
            stated = getattr(self, section).model_fields_set
            values[section].update({key: None for key in keys if key not in stated})
        return values

    preset: Annotated[
        str | None, Field(description="a protocol of `preceptor list presets`; keys given beside it win")
    ] = None
    data: DataSection
    model: ModelSection
    start_from: Annotated[
        str | None,
        Field(description="a run folder, exported or weights file of this network: where training starts from"),
    ] = None
    weights_key: Annotated[
        str | None, Field(description="which weights of the checkpoint in start_from, as teacher.weights_key")
    ] = None
    out: Annotated[str | None, Field(description="run folder (default: runs/ and a name made of the choices)")] = None
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of initial weights, order and augmentation")] = 0
    epochs: Annotated[int | None, Field(ge=1, le=100_000, description="(protocol; CIFAR: 240)")] = None
    batch_size: Annotated[int | None, Field(ge=1, le=2**24, description="(protocol; CIFAR: 64)")] = None
    inputs: InputsSection = InputsSection()
    optim: OptimizerSettings = OptimizerSettings()
    schedule: RateSchedule = RateSchedule()
    averaging: Averaging = Averaging()
    accumulate: Annotated[
        int, Field(ge=1, le=4096, description="passes that a batch is split into, gradients added: the same step")
    ] = 1
    clip_norm: Annotated[float | None, Field(gt=0, description="largest gradient norm")] = None
    stop_at: Annotated[
        Literal["last", "best_val_accuracy", "best_val_nll", "best_val_brier"] | int,
        Field(description="whose weights count: the last epoch's, the best on validation, or those of epoch N"),
    ] = "last"
    stop_mode: Annotated[
        Literal["truncate", "rescaled_schedule"],
        Field(description="for stop_at=N: cut the schedule off there, or squeeze it into N epochs"),
    ] = "truncate"
    device: _DEVICE = "auto"
    engine: _ENGINE = "auto"
    graph: Annotated[bool, Field(description="train by CUDA graphs (not yet tested on a GPU)")] = False
    precision: Annotated[
        Precision, Field(description="of forward passes; auto: bf16 where the device has it, else fp32, as in plain")
    ] = "auto"
    deterministic: Annotated[bool, Field(description="take only operations that repeat to the same bits")] = False
    sharding: Annotated[
        Sharding,
        Field(description="with several processes, whose weights are sharded over them (FSDP2): none, teacher, all"),
    ] = "none"
    workers: _WORKERS = 0
    checkpoint_every_steps: Annotated[int, Field(ge=0, description="besides each epoch's end; 0: never")] = 0
    keep_every: Annotated[int, Field(ge=0, description="keep every N-th epoch's weights; 0: none")] = 0
    resume: Annotated[bool, Field(description="continue the run in `out` where it stopped")] = False
    overwrite: Annotated[bool, Field(description="replace the run in `out`")] = False
    track: Annotated[tuple[TrackerName, ...], LISTED, Field(description="where to log the run too")] = ()


class TeachRecipe(Recipe):
    """Train a teacher."""

    kind: ClassVar[Literal["teach", "distill"]] = "teach"
    role: ClassVar[str] = "teacher"
    terms_key: ClassVar[str] = "objective"
    has_teacher: ClassVar[bool] = False

    objective: ObjectiveSection = ObjectiveSection(name="cross_entropy")

    @property
    def terms(self) -> ObjectiveSection:
        """What is minimised."""
        return self.objective


class DistillRecipe(Recipe):
    """Train a student from a teacher."""

    kind: ClassVar[Literal["teach", "distill"]] = "distill"
    role: ClassVar[str] = "student"
    terms_key: ClassVar[str] = "method"
    has_teacher: ClassVar[bool] = True

    teacher: TeacherSection = TeacherSection()
    labels: Annotated[
        str | None,
        Field(description="a folder of `preceptor label`: the teacher's outputs, read instead of running it"),
    ] = None
    method: ObjectiveSection = ObjectiveSection(name="kd")
    unlabelled: Annotated[
        DataSection | None,
        Field(description="a data source to learn from beside `data`, without its labels"),
    ] = None
    unlabelled_ratio: Annotated[float, Field(gt=0, description="rows without a label to one with, in every batch")] = (
        1.0
    )

    @property
    def terms(self) -> ObjectiveSection:
        """What is minimised."""
        return self.method

    @property
    def student_inputs(self) -> StudentInputs:
        """What only a student learns from."""
        return StudentInputs(self.teacher, self.labels, self.unlabelled, self.unlabelled_ratio)


AnyRecipe = TeachRecipe | DistillRecipe


class LabelRecipe(Settings):
    """Store a teacher's outputs for every training sample."""

    data: DataSection
    teacher: TeacherSection = TeacherSection()
    predictions: PredictionsSection = PredictionsSection()
    out: Annotated[str, Field(description="folder of the labels; one that holds the same labels is continued")]
    views: Annotated[
        int,
        Field(ge=1, le=100_000, description="views of each sample; one per student's epoch: as good as a live teacher"),
    ] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of the views")] = 0
    dtype: Annotated[
        Literal["float16", "int8"], Field(description="of a logit; int8: 256 steps between a row's extremes")
    ] = "float16"
    top: Annotated[
        int | None, Field(ge=1, description="keep the N largest logits of a row and the mass of the rest; none: all")
    ] = None
    rows_per_shard: Annotated[int, Field(ge=1, description="samples per file")] = 65536
    batch_size: Annotated[int, Field(ge=1, le=2**24, description="samples per forward pass")] = 256
    device: _DEVICE = "auto"
    engine: _ENGINE = "auto"
    precision: Annotated[Precision, Field(description="of the teacher's forward pass")] = "auto"
    workers: _WORKERS = 0
