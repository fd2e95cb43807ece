"""Any model as something that can be asked: what `export` writes, and run folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from preceptor.artifacts.create import AnyModel
from preceptor.artifacts.identify import is_run
from preceptor.artifacts.load import load_exported, load_run_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.data import Normalisation
from preceptor.errors import UsageError
from preceptor.exports.deployed import Answer, Deployed, probabilities
from preceptor.exports.onnx import open_onnx
from preceptor.exports.pt2 import open_pt2
from preceptor.models import ModelMetadata
from preceptor.types import Vocabulary

__all__ = ["Opened", "open_model", "run_metadata"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that answers.

    Attributes:
        metadata: what its file tells of it.
        answer: what asks it.
    """

    metadata: ModelMetadata
    answer: Answer

    def outputs(self, samples: Shaped[Tensor, "rows ..."]) -> Float[Tensor, "rows classes"]:
        """Return what the file returns for samples as the data hold them: pixels uint8, or numbers."""
        if self.metadata.normalise == "outside":
            samples = Normalisation(self.metadata.mean, self.metadata.std)(samples)
        elif self.metadata.input_dtype != "uint8":
            samples = samples.float()
        return self.answer(samples)

    def probabilities(self, samples: Shaped[Tensor, "rows ..."]) -> Float[Tensor, "rows classes"]:
        """Return the class probabilities of samples as the data hold them."""
        outputs = self.outputs(samples)
        return outputs if self.metadata.output == "probabilities" else probabilities(outputs, self.metadata.task)


def open_model(path: Path, model: AnyModel | None = None) -> Opened:
    """Return the model in a `.onnx`, `.pt2` or `.safetensors` file, a folder for the Hub or a run folder.

    Args:
        path: of any of them.
        model: as for `preceptor.load`; a program needs none.

    Raises:
        UsageError: when it is missing or damaged, or was not written by this library.
    """
    if path.suffix == ".onnx":
        answer, metadata = open_onnx(path, path)
        return Opened(metadata, answer)
    if path.suffix == ".pt2":
        answer, metadata = open_pt2(path, path)
        return Opened(metadata, answer)
    if path.is_file() and path.suffix != ".safetensors":
        raise UsageError(f"{path}: is no .onnx, .pt2 or .safetensors file")
    is_there = path.exists() and is_run(path)
    network, metadata = _run_network(RunFolder(path), model) if is_there else load_exported(path, model, key="--model")
    deployed = Deployed(network, metadata).eval()

    def answer_by_network(samples: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = deployed(samples)
        return logits

    return Opened(metadata, answer_by_network)


def _run_network(folder: RunFolder, model: AnyModel | None) -> tuple[nn.Module, ModelMetadata]:
    return load_run_network(folder, model=model, key="--model")[0], run_metadata(folder)


def run_metadata(folder: RunFolder) -> ModelMetadata:
    """Return what a file has to tell of a run's network.

    Raises:
        UsageError: when there is no finished run, or one that did not record its classes and normalisation.
    """
    config, record = folder.read_config(), folder.read_result()
    if "class_names" not in record:
        raise UsageError(f"{folder.path}: does not record its class names and normalisation; run it again to export it")
    return ModelMetadata(
        model=record.get("model", config["model"]),
        class_names=tuple(record["class_names"]),
        input_shape=tuple(record["input_shape"]),
        input_dtype=record["input_dtype"],
        task=record.get("task", "multiclass"),
        mean=tuple(record["normalisation"]["mean"]),
        std=tuple(record["normalisation"]["std"]),
        vocabulary=Vocabulary.read(record.get("vocabulary")),
        table=record.get("table"),
        source_fingerprint=record.get("source_fingerprint"),
    )
