"""The only things that travel between the rooms: Batch, Outputs, Clock, Step. All frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["Batch", "Clock", "Outputs", "Step", "Task", "View"]

Task = Literal["multiclass", "binary", "multilabel"]  # one of many classes; one of two; each class present or not


@dataclass(frozen=True, slots=True)
class View:
    """Which augmentation of its samples a batch shows: a pure function of these and the index."""

    name: str
    seed: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What both networks see in one step.

    Attributes:
        inputs: augmented, normalised, floating point, on the run's device; first axis = rows.
        labels: class of each row in [0, classes); of multi-label data 1 for each class that is present, else 0; None when
            unlabelled.
        index: row of each sample in the training split: the key of per-sample memories.
        view: which augmentation the inputs show.
        further: other views of the same rows by name, where an objective asked for them; shaped like the inputs.
    """

    inputs: Float[Tensor, batch * shape]
    labels: Int[Tensor, " batch"] | Float[Tensor, "batch classes"] | None
    index: Int[Tensor, " batch"]
    view: View
    further: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network said.

    Attributes:
        logits: of several teachers, the log of their mean distribution.
        features: those that somebody asked for by name, none otherwise.
        views: what it said of further views of the same rows, by the view's name.
        members: what each of several teachers said; empty for a single network.
    """

    logits: Float[Tensor, "batch classes"]
    features: Mapping[str, Tensor] = field(default_factory=dict)
    views: Mapping[str, Outputs] = field(default_factory=dict)
    members: tuple[Outputs, ...] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """Where in the run a step stands.

    Attributes:
        epoch: counted from 1, as the papers count.
        epochs: how many the run has.
        progress: share of all steps done before this one, in [0, 1).
    """

    epoch: int
    epochs: int
    progress: float


@dataclass(frozen=True, slots=True)
class Step:
    """Everything an objective may look at. `teacher` is None while a teacher is being trained."""

    batch: Batch
    student: Outputs
    teacher: Outputs | None
    model: nn.Module
    clock: Clock
