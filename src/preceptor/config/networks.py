"""The sections that say which network is trained, and which one teaches."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from preceptor.signature import Settings
from preceptor.types import ClassSelection

__all__ = ["LISTED", "ModelSection", "OpenSection", "TeacherSection"]

LISTED = BeforeValidator(lambda names: (names,) if isinstance(names, str) else names)


class OpenSection(Settings):
    """A section with more keys: the hyperparameters of what it names, checked against its signature."""

    model_config = ConfigDict(extra="allow")

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The other keys."""
        return dict(self.model_extra or {})


class ModelSection(OpenSection):
    """The network to train; other keys are its constructor's."""

    name: Annotated[
        str, Field(description="of `preceptor list models`, timm:NAME, torchvision:NAME, hf:PLACE, PKG.MODULE:FACTORY")
    ]
    logits: Annotated[
        int | None,
        Field(ge=1, description="outputs (default: one per class); 1, for two classes: the log-odds of class 1"),
    ] = None


class TeacherSection(Settings):
    """Which teacher."""

    path: Annotated[
        str | tuple[str, ...] | None,
        Field(
            description="a run folder, what `preceptor export` wrote (.safetensors, a Hub folder), a .safetensors or .pth file "
            "(weights only); several: [A, B]"
        ),
    ] = None
    model: Annotated[
        str | ModelSection | None,
        Field(description="the network, of a bare weights file or with weights of its own; keys: teacher.model.name"),
    ] = None
    weights_key: Annotated[
        str | None,
        Field(description="which weights of a checkpoint: the key or prefix that they are under, e.g. state_dict_ema"),
    ] = None
    epoch: Annotated[
        int | None, Field(ge=1, description="a kept epoch of the run (keep_every=N) instead of its result")
    ] = None
    anchors: Annotated[
        Literal["kept"] | tuple[int, ...] | None,
        Field(description="kept epochs of the teacher's run (keep_every=N) to learn from one after another before it"),
    ] = None
    switch_epochs: Annotated[
        tuple[int, ...] | None,
        Field(description="the student's epoch at which each next anchor takes over (default: evenly spaced)"),
    ] = None
    assistants: Annotated[
        tuple[str, ...],
        LISTED,
        Field(description="networks between teacher and student, largest first, each distilled from the one before"),
    ] = ()
    classes: Annotated[ClassSelection, Field(description="of a teacher with more: match (by name), or outputs")] = None
    posterior: Annotated[
        Literal["dropout", "laplace", "swag"] | None,
        Field(
            description="learn from averaged probabilities: dropout left on, last-layer Laplace, or SWAG of kept epochs"
        ),
    ] = None
    samples: Annotated[int | None, Field(ge=1, le=1000, description="of the posterior (default: 10)")] = None
    posterior_start: Annotated[
        float, Field(ge=0, description="swag: the first kept epoch that counts, or below 1 a share of the run")
    ] = 0.75
    calibrate: Annotated[
        Literal["nll", "ece"] | None,
        Field(description="divide its logits by the temperature with the smallest NLL, or ECE, on validation"),
    ] = None
    truth: Annotated[bool, Field(description="learn from the true label distribution, where the data know it")] = False

    @property
    def passes(self) -> int:
        """Forward passes that make one prediction: the samples of a posterior that is sampled."""
        return (10 if self.samples is None else self.samples) if self.posterior in {"dropout", "swag"} else 1
