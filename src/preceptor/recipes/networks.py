"""Networks by name, by file or by run folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import nn

from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.models import create, load_weights
from preceptor.recipes.config import ModelSection, TeacherSection
from preceptor.runs import RunFolder

__all__ = ["PYTHON", "fingerprint", "load_run_network", "load_teacher", "make_network"]

PYTHON = "python:"  # how a configuration names an object that was passed from Python


def make_network(section: ModelSection, num_classes: int, input_shape: tuple[int, ...]) -> nn.Module:
    """Return a new network for data of this shape.

    Raises:
        UsageError: for an unknown name or option, or one that only Python can provide.
    """
    if section.name.startswith(PYTHON):
        raise UsageError(f"model: {section.name} was passed as a Python object and cannot be made from its name")
    return create(section.name, num_classes=num_classes, input_shape=input_shape, options=section.knobs)


def load_run_network(folder: RunFolder) -> tuple[nn.Module, int]:
    """Return a finished run's network with its weights, and its number of classes.

    Raises:
        UsageError: when the folder holds no finished run, or a damaged one.
    """
    config, result = folder.read_config(), folder.read_result()
    num_classes = int(result["num_classes"])
    network = make_network(ModelSection(**config["model"]), num_classes, tuple(result["input_shape"]))
    load_weights(network, folder.weights)
    return network, num_classes


def load_teacher(section: TeacherSection, data: Data) -> nn.Module:
    """Return the teacher that a section names, checked against the data's classes.

    Raises:
        UsageError: when it is missing, damaged, unfinished, or has another number of classes.
    """
    if section.path is None:
        raise UsageError("teacher: none given; teacher=RUN_FOLDER, or teacher=FILE.pth teacher.model=NAME")
    path = Path(section.path)
    if path.is_dir():
        if section.model is not None:
            raise UsageError(f"teacher.model: {section.model} is not needed: run folder {path} knows its network")
        network, num_classes = load_run_network(RunFolder(path))
        if num_classes != data.num_classes:
            raise UsageError(f"teacher {path} has {num_classes} classes, data {data.name} has {data.num_classes}")
        return network
    if not path.exists():
        raise UsageError(f"teacher: {path}: no such run folder or file")
    if section.model is None:
        raise UsageError(f"teacher: {path} is a bare weights file; say which network it is with teacher.model=NAME")
    network = make_network(ModelSection(name=section.model), data.num_classes, data.input_shape)
    load_weights(network, path)
    return network


def fingerprint(network: nn.Module) -> str:
    """Return the first 16 hexadecimal digits of the sha256 over a network's weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
