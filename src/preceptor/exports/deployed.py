"""The exported network: with or without normalisation, returning logits or probabilities, traced for any batch size."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional

from preceptor.data import Normalisation
from preceptor.errors import RunError, UsageError
from preceptor.models import ModelMetadata, logits_of, random_texts
from preceptor.types import Task

__all__ = ["DeployedNetwork", "Forward", "check_outputs", "example_inputs", "probabilities", "quiet", "trace"]

Forward = Callable[[Tensor], Tensor]

_TRACED, _CHECKED = 2, 5  # rows; a size that was not traced shows whether the batch is dynamic
_TOLERANCE = 1e-4
_SEED = 20  # of the samples that the check is made on

# what torch raises on a network that it cannot trace; most are kinds of RuntimeError
_UNTRACEABLE = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, NotImplementedError)


class DeployedNetwork(nn.Module):
    """A network with its normalisation before and its softmax after it, each where the metadata say so.

    Args:
        network: returns logits [batch, classes].
        metadata: of the exported file.
    """

    def __init__(self, network: nn.Module, metadata: ModelMetadata) -> None:
        super().__init__()
        self.network = network
        mean, std = metadata.preprocessing.mean, metadata.preprocessing.std
        self._normalisation = Normalisation(mean, std) if metadata.normalise == "inside" else None
        self._is_probability = metadata.output == "probabilities"
        self._task = metadata.task

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits or probabilities [batch, classes]."""
        if self._normalisation is not None:
            inputs = self._normalisation(inputs)
        logits = logits_of(self.network(inputs), self.network)
        if logits.shape[1] == 1:
            logits = functional.pad(logits, (1, 0))  # one output is the log-odds of the second of two classes
        return probabilities(logits, self._task) if self._is_probability else logits


def probabilities(logits: Float[Tensor, "rows classes"], task: Task) -> Float[Tensor, "rows classes"]:
    """Return class probabilities: the softmax of logits, or their sigmoid in a multi-label task."""
    return logits.sigmoid() if task == "multilabel" else logits.softmax(1)


def example_inputs(metadata: ModelMetadata, rows: int) -> Shaped[Tensor, "rows channels ..."]:
    """Return random inputs of the shape and type that the file takes."""
    if metadata.vocabulary is not None:
        return random_texts(metadata.input_shape, metadata.vocabulary, rows)
    generator = torch.Generator().manual_seed(_SEED + rows)
    shape = (rows, *metadata.input_shape)
    if metadata.normalise == "inside" and metadata.input_dtype == "uint8":
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return torch.randn(shape, generator=generator)


def trace(deployed: DeployedNetwork, metadata: ModelMetadata) -> ExportedProgram:
    """Return the program of a network for batches of any size, without the paths of its source files.

    Raises:
        UsageError: when torch cannot trace it: it branches on values, or is written for one size of batch.
    """
    try:
        with quiet():
            program = torch.export.export(
                deployed.eval(), (example_inputs(metadata, _TRACED),), dynamic_shapes=({0: Dim("batch")},)
            )
    except _UNTRACEABLE as error:
        kind, first = type(deployed.network).__name__, str(error).strip().splitlines()
        raise UsageError(
            f"export: {kind} cannot be traced for batches of any size; it must neither branch on values nor fix the batch"
            f" ({first[0] if first else type(error).__name__}); --to FILE.safetensors needs no tracing"
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def check_outputs(forward: Forward, deployed: DeployedNetwork, metadata: ModelMetadata) -> float:
    """Return the largest absolute difference between a file's outputs and the network's, on a batch size not traced.

    Args:
        forward: runs the file.
        deployed: the network in it.
        metadata: of the file.

    Raises:
        RunError: when it exceeds 1e-4, or 1e-4 of the largest output where that is above 1.
    """
    samples = example_inputs(metadata, _CHECKED)
    with torch.no_grad():
        expected: Float[Tensor, "batch classes"] = deployed(samples)
    difference = float((forward(samples) - expected).abs().max())
    bound = _TOLERANCE * max(1.0, float(expected.abs().max()))
    if not difference <= bound:
        raise RunError(f"export: the file's outputs differ from PyTorch's by {difference:.2g}, more than {bound:.2g}")
    return difference


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the logging, warnings and printing of the tools; what matters is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
