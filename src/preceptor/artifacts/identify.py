"""What a path is: a run folder, something exported, or a bare weights file; and what that knows of its data."""

from __future__ import annotations

from pathlib import Path

from preceptor.artifacts.compatibility import TrainingDataInfo
from preceptor.artifacts.run_folder import RunFolder
from preceptor.errors import UsageError
from preceptor.models import (
    METADATA_KEY,
    read_metadata,
    read_model_metadata,
)

__all__ = [
    "PYTHON",
    "WEIGHTS",
    "is_from_python",
    "is_run",
    "kept_weights",
    "learned_at",
    "network_of",
    "tells_its_network",
    "weights_of",
]

PYTHON = "python:"  # how a configuration names an object that was passed from Python

WEIGHTS = "model.safetensors"  # in a folder for the Hub, as the Hub's own loaders call it

_PROGRAMS = (".onnx", ".pt2")


def learned_at(path: Path) -> TrainingDataInfo | None:
    """Return what a run or an exported file knows of the data that it was trained on; None: a bare weights file.

    Raises:
        UsageError: when there is nothing, or a run that has not finished.
    """
    weights = weights_of(path)
    if is_run(path):
        return TrainingDataInfo.from_run(RunFolder(path))
    return TrainingDataInfo.from_metadata(read_model_metadata(weights), path) if tells_its_network(weights) else None


def kept_weights(folder: RunFolder, epoch: int, key: str) -> Path:
    """Return the weights file of an epoch that a run kept.

    Args:
        folder: of the run.
        epoch: counted from 1.
        key: under which it was asked for, for messages.

    Raises:
        UsageError: when it was not kept.
    """
    kept = folder.kept_epochs()
    if epoch not in kept:
        there = ", ".join(str(number) for number in kept) or "none"
        raise UsageError(f"{key}: {folder.path} has kept epochs {there}, not {epoch}; teach with keep_every=N")
    return kept[epoch]


def is_run(path: Path) -> bool:
    """Say whether a path is to be read as a run folder, not as what was exported from one."""
    return not path.is_file() and (RunFolder(path).config.exists() or not (path / WEIGHTS).exists())


def network_of(path: str | Path) -> str | None:
    """Return the name of the network of a run folder; None where there is no run."""
    folder = RunFolder(path)
    return str(folder.read_config()["model"]["name"]) if folder.config.exists() else None


def is_from_python(path: Path) -> bool:
    """Say whether the network of a run folder, or of what was exported, was passed from Python and is not known by a name."""
    if path.exists() and is_run(path):
        return str(RunFolder(path).read_config()["model"]["name"]).startswith(PYTHON)
    weights = path / WEIGHTS if path.is_dir() else path
    return tells_its_network(weights) and str(read_model_metadata(weights).model["name"]).startswith(PYTHON)


def weights_of(path: Path, where: str = "") -> Path:
    """Return the weights file that a path means: itself, or that of a folder for the Hub.

    Args:
        path: of either.
        where: what messages begin with.

    Raises:
        UsageError: when there is nothing, or a program in place of weights.
    """
    if not path.exists():
        raise UsageError(f"{where}{path}: no such run folder or file")
    if path.suffix in _PROGRAMS:
        raise UsageError(
            f"{where}{path} is a program without named weights; give the run folder, or export it as FILE.safetensors"
        )
    return path / WEIGHTS if path.is_dir() else path


def tells_its_network(weights: Path) -> bool:
    """Return whether a weights file names its network."""
    return weights.suffix == ".safetensors" and METADATA_KEY in read_metadata(weights)
