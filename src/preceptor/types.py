"""What travels between packages, frozen: Batch, Outputs, Progress, Step, and what labels and tokens mean."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

if TYPE_CHECKING:  # annotations alone need them, and the configuration, which needs no torch, imports this file
    from jaxtyping import Float, Int
    from torch import Tensor, nn

__all__ = [
    "Batch",
    "ClassSelection",
    "InputShape",
    "ModelKeys",
    "Outputs",
    "Preprocessing",
    "Progress",
    "Sharding",
    "Step",
    "Task",
    "TrackerName",
    "View",
    "Vocabulary",
]

# which outputs are the data's classes: by name, or one for each class; None: all of them
ClassSelection = Literal["match"] | tuple[int, ...] | None
Sharding = Literal["none", "teacher", "all"]  # with several processes, whose weights are sharded over them
Task = Literal["multiclass", "binary", "multilabel"]  # one of many classes; one of two; each class present or not
TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]  # where a run is logged beside its folder
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Side = Annotated[int, Field(ge=1, le=2**16)]  # of an image, in pixels
_MOST_NUMBERS = 2**28  # of one sample


def _fits(shape: tuple[int, ...]) -> tuple[int, ...]:
    if not shape or min(shape) < 1 or math.prod(shape) > _MOST_NUMBERS:
        raise ValueError(f"is no shape of a sample of 1 to {_MOST_NUMBERS:,} numbers")
    return shape


InputShape = Annotated[tuple[int, ...], AfterValidator(_fits)]


def _named(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(values.get("name"), str):
        raise ValueError("has no name")
    return values


ModelKeys = Annotated[Mapping[str, Any], AfterValidator(_named)]  # what makes a network: its name and its further keys


@dataclass(frozen=True, slots=True)
class View:
    """Which augmentation of its samples a batch holds: a pure function of these fields and the index."""

    name: str
    seed: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a tokenizer, by id.

    Attributes:
        size: ids are 0..size-1.
        padding: the id that fills up short texts.
        fingerprint: of all tokens with their ids: 16 hexadecimal digits.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: Annotated[int, Field(ge=1, le=2**24)]
    padding: Annotated[int, Field(ge=0)]
    fingerprint: str

    @classmethod
    def of(cls, numbers: Mapping[str, int], padding: int) -> Vocabulary:
        """Return the vocabulary of these tokens.

        Examples:
            >>> Vocabulary.of({"[PAD]": 0, "good": 1, "bad": 2}, 0).size
            3
        """
        listed = json.dumps(sorted(numbers.items(), key=lambda item: (item[1], item[0])))
        return cls(1 + max(numbers.values()), padding, hashlib.sha256(listed.encode()).hexdigest()[:16])


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How samples become what a network sees: images from their file on, other samples by mean and std alone.

    An image is turned upright, converted to its channels, scaled until its centre covers `size`, cropped to the middle, and
    normalised: (pixels / 255 - mean) / std. An image that has `size` already is neither scaled nor cropped.

    Attributes:
        mean: subtracted from each channel, of pixels in [0, 1] where samples are images; empty: none.
        std: each channel is then divided by it.
        channels: of images: 1, grey, or 3, red, green and blue; None: the samples are no images.
        size: of images: height and width; None: as they are.
        centre: share of the image, along the side that limits it, that the crop covers; 1: all of it.
        interpolation: by which images are scaled, antialiased.
        bit_depth: of each channel of an image.
        exif_orientation: whether images are turned upright as their EXIF orientation says.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    mean: tuple[_Finite, ...] = ()
    std: tuple[Annotated[_Finite, Field(gt=0)], ...] = ()
    channels: Literal[1, 3] | None = None
    size: tuple[_Side, _Side] | None = None
    centre: Annotated[float, Field(gt=0, le=1)] = 1.0
    interpolation: Literal["bilinear"] = "bilinear"
    bit_depth: Literal[8] = 8
    exif_orientation: Literal[True] = True

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} numbers, std {len(self.std)}")


@dataclass(frozen=True, slots=True)
class Batch:
    """What both networks read in one step: labelled samples first, then unlabelled ones, then inputs beyond the samples.

    Attributes:
        inputs: augmented, normalised, floating point, on the run's device; first axis = rows.
        labels: of the first len(labels) rows: classes in [0, classes); of multi-label data 1 for each class that is present
            and 0 for the others; or target distributions where labels were mixed with the inputs; None when no row has one.
        index: of the first len(index) rows, which are samples: their rows in the training split, counted on into the
            unlabelled pool. It selects rows of memory banks.
        view: the augmentation of the inputs.
        extra_views: other views of the same rows by name, where an objective needs them; shaped like the inputs.
        renormalise: whether terms that cannot be applied to these rows pass their weight to those that can.
        share: weight of these rows in the step: 1 for a full batch; where several processes or passes make one step, the
            fraction of its rows that are here, times the number of processes or passes.
        labelled_share: the same for labelled rows.
        sample_share: the same for rows that are samples.
    """

    inputs: Float[Tensor, batch * shape]
    labels: Int[Tensor, labelled * classes] | Float[Tensor, "labelled classes"] | None
    index: Int[Tensor, " samples"]
    view: View
    extra_views: Mapping[str, Tensor] = field(default_factory=dict)
    renormalise: bool = False
    share: float = 1.0
    labelled_share: float = 1.0
    sample_share: float = 1.0

    @property
    def num_labelled(self) -> int:
        """How many rows have a label."""
        return 0 if self.labels is None else len(self.labels)

    def rows(self, start: int, stop: int) -> Batch:
        """Return the batch of some rows."""
        return replace(
            self,
            inputs=self.inputs[start:stop],
            labels=None if self.labels is None else self.labels[start:stop],
            index=self.index[start:stop],
            extra_views={name: inputs[start:stop] for name, inputs in self.extra_views.items()},
        )

    def stride(self, start: int, step: int) -> Batch:
        """Return every `step`-th row from row `start` on; labelled rows stay first.

        Where there is none, return the first row with share 0, so that every process has a batch to run.
        """
        if start >= len(self.inputs):
            return replace(self.rows(0, 1), share=0.0, labelled_share=0.0, sample_share=0.0)
        rows = slice(start, None, step)
        batch = replace(
            self,
            inputs=self.inputs[rows],
            labels=None if self.labels is None else self.labels[rows],
            index=self.index[rows],
            extra_views={name: inputs[rows] for name, inputs in self.extra_views.items()},
        )
        return replace(
            batch,
            share=self.share * step * len(batch.inputs) / len(self.inputs),
            labelled_share=self.labelled_share * step * batch.num_labelled / max(self.num_labelled, 1),
            sample_share=self.sample_share * step * len(batch.index) / max(len(self.index), 1),
        )


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network returned.

    Attributes:
        logits: of several teachers, the log of their mean distribution.
        features: those that an objective needs, by name.
        views: outputs for extra views of the same rows, by the view's name.
        members: outputs of each of several teachers; empty for a single network.
    """

    logits: Float[Tensor, "batch classes"]
    features: Mapping[str, Tensor] = field(default_factory=dict)
    views: Mapping[str, Outputs] = field(default_factory=dict)
    members: tuple[Outputs, ...] = ()

    def rows(self, start: int, stop: int) -> Outputs:
        """Return the outputs for some rows."""
        return Outputs(
            self.logits[start:stop],
            {name: feature[start:stop] for name, feature in self.features.items()},
            {name: view.rows(start, stop) for name, view in self.views.items()},
            tuple(member.rows(start, stop) for member in self.members),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """Where in the run a step is.

    Attributes:
        epoch: counted from 1, as in the papers.
        epochs: number of epochs of the run.
        fraction: of all steps, those before this one, in [0, 1).
    """

    epoch: int
    epochs: int
    fraction: float


@dataclass(frozen=True, slots=True)
class Step:
    """Everything an objective may look at. `teacher` is None while a teacher is being trained."""

    batch: Batch
    student: Outputs
    teacher: Outputs | None
    model: nn.Module
    progress: Progress

    def rows(self, start: int, stop: int) -> Step:
        """Return the step of some rows."""
        teacher = None if self.teacher is None else self.teacher.rows(start, stop)
        return replace(
            self, batch=self.batch.rows(start, stop), student=self.student.rows(start, stop), teacher=teacher
        )
