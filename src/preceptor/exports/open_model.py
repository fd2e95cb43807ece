"""Trained models opened for prediction: exported files, folders for the Hub, run folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from preceptor.artifacts.create import AnyModel
from preceptor.artifacts.identify import is_run, run_metadata, weights_of
from preceptor.artifacts.load import load_exported, load_run_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.data import Normalisation
from preceptor.errors import UsageError
from preceptor.exports.deployed import DeployedNetwork, Forward, probabilities
from preceptor.exports.onnx import open_onnx
from preceptor.exports.pt2 import open_pt2
from preceptor.models import ModelMetadata, read_model_metadata

__all__ = ["OpenModel", "open_model"]


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model ready for prediction, whatever file it came from.

    Attributes:
        metadata: as its file says.
        forward: from inputs, as the file takes them, to its outputs.
    """

    metadata: ModelMetadata
    forward: Forward

    def outputs(self, samples: Shaped[Tensor, "rows ..."]) -> Float[Tensor, "rows classes"]:
        """Return the outputs for samples as the data hold them: uint8 pixels, or numbers."""
        if self.metadata.normalise == "outside":
            samples = Normalisation(self.metadata.preprocessing.mean, self.metadata.preprocessing.std)(samples)
        elif self.metadata.input_dtype != "uint8":
            samples = samples.float()
        return self.forward(samples)

    def probabilities(self, samples: Shaped[Tensor, "rows ..."]) -> Float[Tensor, "rows classes"]:
        """Return the class probabilities of samples as the data hold them."""
        outputs = self.outputs(samples)
        return outputs if self.metadata.output == "probabilities" else probabilities(outputs, self.metadata.task)


def open_model(path: Path, model: AnyModel | None = None) -> OpenModel:
    """Return the model in a `.onnx`, `.pt2` or `.safetensors` file, a folder for the Hub or a run folder.

    Args:
        path: of any of them.
        model: as for `preceptor.load`; `.onnx` and `.pt2` files need none.

    Raises:
        UsageError: when it is missing or damaged, or was not written by this library.
    """
    if path.suffix == ".onnx":
        forward, metadata = open_onnx(path, path)
        return OpenModel(metadata, forward)
    if path.suffix == ".pt2":
        forward, metadata = open_pt2(path, path)
        return OpenModel(metadata, forward)
    if path.is_file() and path.suffix != ".safetensors":
        raise UsageError(f"{path}: is no .onnx, .pt2 or .safetensors file")
    if path.exists() and is_run(path):
        folder = RunFolder(path)
        network, metadata = load_run_network(folder, model=model, key="--model"), run_metadata(folder)
    else:
        network = load_exported(path, model=model, key="--model")
        metadata = read_model_metadata(weights_of(path))
    deployed = DeployedNetwork(network, metadata).eval()

    def run_network(samples: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = deployed(samples)
        return logits

    return OpenModel(metadata, run_network)
