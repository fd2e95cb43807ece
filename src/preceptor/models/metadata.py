"""A network's description in its file: enough to make it and to run it, without the run that trained it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from preceptor.documents import parse_document
from preceptor.errors import UsageError
from preceptor.models.weights import read_metadata
from preceptor.types import InputShape, ModelKeys, Preprocessing, Task, Vocabulary

__all__ = ["METADATA_KEY", "UNDESCRIBED", "ModelMetadata", "Normalise", "Output", "read_model_metadata"]

METADATA_KEY = "preceptor"  # of a file's header
UNDESCRIBED = "does not describe its network, classes and normalisation; `preceptor export` writes files that do"

Output = Literal["logits", "probabilities"]
Normalise = Literal["inside", "outside"]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A network's description, as plain data.

    Attributes:
        model: its name and its further keys.
        class_names: one per output, in order.
        input_shape: of one sample.
        input_dtype: of samples before normalisation: "uint8" for images, "float32" for numbers.
        preprocessing: how samples, image files among them, become what the network sees.
        output: what the file returns.
        task: "multilabel" where each class is present or not; "binary" or "multiclass" where classes exclude each other.
        normalise: "inside" the file, which then takes raw samples, or "outside" it.
        vocabulary: of texts: the token of each id.
        table: of tables: how their columns became numbers, as plain values.
        source_fingerprint: of all samples of a source without a test split of its own.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    model: ModelKeys
    class_names: Annotated[tuple[str, ...], Field(min_length=2)]
    input_shape: InputShape
    input_dtype: Literal["uint8", "float32"]
    preprocessing: Preprocessing
    output: Output = "logits"
    task: Task = "multiclass"
    normalise: Normalise = "outside"
    vocabulary: Vocabulary | None = None
    table: dict[str, Any] | None = None
    source_fingerprint: str | None = None

    @property
    def reads_images(self) -> bool:
        """Whether samples are 8-bit images, grey or in colour."""
        return self.preprocessing.channels is not None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def as_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str | None, path: Path) -> ModelMetadata:
        """Return the description in a file.

        Args:
            text: the value of `METADATA_KEY` in its header, or None.
            path: of the file, for messages.

        Raises:
            UsageError: when it is missing or cannot be read.
        """
        if not text:
            raise UsageError(f"{path}: {UNDESCRIBED}")
        return parse_document(text, cls, f"{path}: its description of the network")


def read_model_metadata(path: Path) -> ModelMetadata:
    """Return the description in a safetensors file.

    Raises:
        UsageError: when the file is missing or damaged, or holds none.
    """
    return ModelMetadata.from_json(read_metadata(path).get(METADATA_KEY), path)
