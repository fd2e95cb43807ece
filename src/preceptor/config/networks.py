"""Which network: the sections of a model, of a teacher, and of what stands in for a teacher."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from preceptor.signature import Settings
from preceptor.types import ClassSelection

__all__ = ["LISTED", "ModelSection", "OnnxSection", "OpenSection", "PredictionsSection", "TeacherSection"]

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


class OnnxSection(Settings):
    """How an ONNX file of another program reads its inputs, and what it returns; `preceptor export` writes that into its own."""

    mean: Annotated[
        tuple[float, ...], Field(description="subtracted from each channel (default: as the data are normalised)")
    ] = ()
    std: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...], Field(description="each channel is then divided by it")
    ] = ()
    scale: Annotated[
        Literal[1, 255] | None,
        Field(description="largest value of a pixel, in which mean and std are given (default: 1)"),
    ] = None
    output: Annotated[Literal["logits", "probabilities"], Field(description="what it returns")] = "logits"


class TeacherSection(Settings):
    """Which teacher."""

    path: Annotated[
        str | tuple[str, ...] | None,
        Field(
            description="a run folder, what `preceptor export` wrote (.safetensors, a Hub folder), a .safetensors or .pth file "
            "(weights only), any .onnx file (logits only); several: [A, B]"
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
    onnx: Annotated[OnnxSection, Field(description="of an ONNX file that another program wrote")] = OnnxSection()
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


class PredictionsSection(Settings):
    """A teacher's predictions that exist already."""

    path: Annotated[
        str | None, Field(description="a .npy, .npz, .csv, .tsv or .parquet file of them, in place of a teacher")
    ] = None
    kind: Annotated[
        Literal["logits", "probabilities"] | None,
        Field(description="what they are (default: probabilities where each row is a distribution)"),
    ] = None
    id: Annotated[
        str | None, Field(description="the column that says which sample a row is of (default: rows are in order)")
    ] = None
