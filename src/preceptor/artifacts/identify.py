"""What a path is: a run folder, something exported, or a bare weights file; and what it says of its network and data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from preceptor.artifacts.compatibility import TrainingDataInfo
from preceptor.artifacts.run_folder import RunFolder, network_of
from preceptor.config.trust import PYTHON, loads_code
from preceptor.errors import UsageError
from preceptor.models import METADATA_KEY, ModelMetadata, read_metadata, read_model_metadata, read_onnx

__all__ = [
    "PYTHON",
    "WEIGHTS",
    "is_run",
    "kept_weights",
    "learned_at",
    "must_be_named",
    "run_metadata",
    "tells_its_network",
    "weights_of",
]

WEIGHTS = "model.safetensors"  # in a folder for the Hub, as the Hub's own loaders call it

_PROGRAMS = (".onnx", ".pt2")


def learned_at(path: Path) -> TrainingDataInfo | None:
    """Return what a run or an exported file says of the data that it was trained on; None: it says nothing.

    Raises:
        UsageError: when the path does not exist, or the run has not finished.
    """
    if path.suffix == ".onnx" and path.exists():
        metadata = read_onnx(path, path).metadata
        return None if metadata is None else TrainingDataInfo.from_metadata(metadata, str(path))
    weights = weights_of(path)
    if is_run(path):
        return TrainingDataInfo.from_run(RunFolder(path))
    return (
        TrainingDataInfo.from_metadata(read_model_metadata(weights), str(path)) if tells_its_network(weights) else None
    )


def run_metadata(folder: RunFolder) -> ModelMetadata:
    """Return the metadata of a run's network, as an exported file holds them.

    Raises:
        UsageError: when there is no finished run.
    """
    record = folder.read_record()
    return ModelMetadata(
        model=record.model,
        class_names=record.class_names,
        input_shape=record.input_shape,
        input_dtype=record.input_dtype,
        task=record.task,
        preprocessing=record.preprocessing,
        vocabulary=record.vocabulary,
        table=record.table,
        source_fingerprint=record.source_fingerprint,
    )


def kept_weights(folder: RunFolder, epochs: Sequence[int] | None, key: str) -> list[Path]:
    """Return the weights files of epochs that a run kept.

    Args:
        folder: of the run.
        epochs: counted from 1; None: all that were kept.
        key: that names the epochs, for messages.

    Raises:
        UsageError: when one was not kept, or there is none.
    """
    kept = folder.kept_epochs()
    wanted = list(kept) if epochs is None else epochs
    missing = [epoch for epoch in wanted if epoch not in kept]
    if missing or not wanted:
        there, absent = (", ".join(map(str, numbers)) for numbers in (kept, missing))
        raise UsageError(
            f"{key}: {folder.path} has kept epochs {there or 'none'}, not {absent or 'any'}; teach with keep_every=N"
        )
    return [kept[epoch] for epoch in wanted]


def is_run(path: Path) -> bool:
    """Return whether a path is read as a run folder, not as something exported."""
    return not path.is_file() and (RunFolder(path).config.exists() or not (path / WEIGHTS).exists())


def must_be_named(path: Path) -> bool:
    """Return whether the user must name the network of a run folder, or of something exported.

    So it is where it was passed from Python and has no name, and where its name loads code: no file alone does that.
    """
    if path.exists() and is_run(path):
        name = str(network_of(path))
    else:
        weights = path / WEIGHTS if path.is_dir() else path
        if not tells_its_network(weights):
            return False
        name = str(read_model_metadata(weights).model["name"])
    return name.startswith(PYTHON) or loads_code(name)


def weights_of(path: Path, where: str = "") -> Path:
    """Return the weights file at a path: the file itself, or that of a folder for the Hub.

    Args:
        path: of either.
        where: prefix of messages.

    Raises:
        UsageError: when the path does not exist, or is a program without weights.
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
