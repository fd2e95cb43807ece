"""What a file tells of the network in it: enough to make it and to ask it, without the run that trained it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from preceptor.errors import UsageError
from preceptor.models.weights import read_metadata
from preceptor.types import Task, Vocabulary

__all__ = ["METADATA_KEY", "ModelMetadata", "Normalise", "Output", "read_model_metadata"]

METADATA_KEY = "preceptor"  # the key it stands under in a file's metadata

Output = Literal["logits", "probabilities"]
Normalise = Literal["inside", "outside"]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A network's description, as plain data.

    Attributes:
        model: its name and its further keys.
        class_names: one an output, in order.
        input_shape: of one sample.
        input_dtype: of samples before normalisation: "uint8" for images, "float32" for what was numbers all along.
        mean: subtracted from each channel; empty: none. Of pixels in [0, 1] where samples are uint8.
        std: each channel is divided by it after that.
        output: what the file returns.
        task: "multilabel" where each output is a question of its own; "binary" or "multiclass" where classes exclude each other.
        normalise: whether the file takes samples as they are and normalises them, or takes them normalised.
        vocabulary: of texts: which token each number stands for.
        table: of tables: how their columns became numbers, as plain values.
        source_fingerprint: of all samples of the source, where test was split from its only part.
    """

    model: Mapping[str, Any]
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    input_dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    output: Output = "logits"
    task: Task = "multiclass"
    normalise: Normalise = "outside"
    vocabulary: Vocabulary | None = None
    table: Mapping[str, Any] | None = None
    source_fingerprint: str | None = None

    @property
    def reads_images(self) -> bool:
        """Whether samples are 8-bit images, grey or in colours."""
        return self.input_dtype == "uint8" and len(self.input_shape) == 3 and self.input_shape[0] in {1, 3}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def as_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str | None, path: Path) -> ModelMetadata:
        """Return the passport that a file holds.

        Args:
            text: what stands under `METADATA_KEY`, or None where nothing does.
            path: of the file, for messages.

        Raises:
            UsageError: when there is none, or one that cannot be read.
        """
        if not text:
            raise UsageError(
                f"{path}: says nothing of its network, classes and normalisation; `preceptor export` writes files that do"
            )
        try:
            values = json.loads(text)
            tuples = {key: tuple(values[key]) for key in ("class_names", "input_shape", "mean", "std")}
            return cls(**{**values, **tuples, "vocabulary": Vocabulary.read(values.get("vocabulary"))})
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{path}: its description of the network cannot be read ({error})") from error


def read_model_metadata(path: Path) -> ModelMetadata:
    """Return the passport in a safetensors file.

    Raises:
        UsageError: when the file is missing or damaged, or holds none.
    """
    return ModelMetadata.from_json(read_metadata(path).get(METADATA_KEY), path)
