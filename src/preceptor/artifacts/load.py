"""Networks by name, by file, by run folder, or as they were exported."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from preceptor.artifacts.compatibility import TrainingDataInfo, check_compatibility
from preceptor.artifacts.create import AnyModel, data_spec, make_network, named
from preceptor.artifacts.identify import PYTHON, is_run, learned_at, tells_its_network, weights_of
from preceptor.artifacts.provenance import fingerprint
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.sections import ModelSection
from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.models import (
    DataSpec,
    ModelMetadata,
    adapt,
    load_weights,
    names,
    read_model_metadata,
    wrap_as_stated,
)
from preceptor.types import Vocabulary

__all__ = ["checked_run", "load_exported", "load_network", "load_run_network", "load_start"]


_Model = AnyModel | ModelSection


def load_run_network(
    folder: RunFolder,
    weights: Path | None = None,
    *,
    data: Data | None = None,
    model: _Model | None = None,
    key: str = "model",
) -> tuple[nn.Module, int]:
    """Return a finished run's network with its weights and its number of classes.

    Args:
        folder: of the run.
        weights: of a kept epoch instead of the result.
        data: that it will be given, where those may not be the run's own: images of another size or normalisation are
            made what it was trained on.
        model: the network, where it was passed from Python: its name, its section, or one like it, of which a copy gets the
            weights.
        key: under which that is given, for messages; an option of the command line with its dashes.

    Raises:
        UsageError: when the folder holds no finished run, or a damaged one, the data's images cannot be made those of the
            run, its texts are of another tokenizer, or the network is neither known nor given, or both.
    """
    config, record = folder.read_config(), folder.read_record()
    trained_on = DataSpec(
        record.num_classes,
        record.input_shape,
        record.preprocessing.mean,
        record.preprocessing.std,
        vocabulary=Vocabulary.read(record.vocabulary),
    )
    given, who = None if data is None else data_spec(data), f"run {folder.path}"
    if model is not None and not config["model"]["name"].startswith(PYTHON):
        name = type(model).__name__ if isinstance(model, nn.Module) else named(model).name
        raise UsageError(f"{key}: {name} is not needed: run folder {folder.path} knows its network")
    made_of = _described(record.model, model, who, key)
    network = _filled(made_of, record.model, weights or folder.weights, trained_on, given, who)
    return network, trained_on.num_classes


def load_exported(
    path: Path, model: _Model | None = None, *, data: Data | None = None, key: str = "model"
) -> tuple[nn.Module, ModelMetadata]:
    """Return the network that was exported as safetensors, into a file or a folder for the Hub, and what it tells of itself.

    Args:
        path: of either.
        model: another way to make its network than the one it tells, as for `load_run_network`.
        data: as for `load_run_network`.
        key: likewise.

    Raises:
        UsageError: when it is missing or damaged, or does not say which network it is, or as for `load_run_network`.
    """
    weights = weights_of(path)
    metadata = read_model_metadata(weights)
    made_of = _described(metadata.model, model, str(path), key)
    shape, mean, std = metadata.input_shape, metadata.preprocessing.mean, metadata.preprocessing.std
    trained_on = DataSpec(len(metadata.class_names), shape, mean, std, metadata.vocabulary)
    given = None if data is None else data_spec(data)
    return _filled(made_of, metadata.model, weights, trained_on, given, str(path)), metadata


def _described(stated: Mapping[str, Any], model: _Model | None, who: str, key: str) -> ModelSection | nn.Module:
    """Return what a network is made of: what was given, or what its run or file states."""
    if model is not None:
        return model if isinstance(model, nn.Module) else named(model)
    section = ModelSection(**stated)
    if section.name.startswith(PYTHON):
        word = f"{key} " if key.startswith("--") else f"{key}="
        raise UsageError(
            f"{who}: its network was passed as a Python object ({section.name}), so it cannot be made from its name; "
            f"give it again: {word}PKG.MODULE:FACTORY, or from Python the network itself as {key.lstrip('-')}"
        )
    return section


def _filled(
    model: ModelSection | nn.Module,
    stated: Mapping[str, Any],
    weights: Path,
    trained_on: DataSpec,
    given: DataSpec | None,
    who: str,
) -> nn.Module:
    """Return a network with its weights, as one that is given other samples than it was trained on where those are others."""
    given = given or trained_on
    if trained_on.vocabulary is not None:
        if given.vocabulary != trained_on.vocabulary:
            what = "samples are no texts" if given.vocabulary is None else "texts are of another tokenizer"
            raise UsageError(f"{who} reads texts, and the data's {what}; data=text:PATH data.tokenizer=FOLDER as there")
        trained_on = replace(trained_on, shape=given.shape)  # as long as those are
    is_alike = given.num_classes == trained_on.num_classes and len(given.shape) == len(trained_on.shape)
    example = given.example if given.shape == trained_on.shape else None
    network = wrap_as_stated(_new(model, replace(trained_on, example=example)), stated)
    load_weights(network, weights)
    if given == trained_on or not is_alike:
        return network
    try:
        return adapt(network, trained_on, given)
    except UsageError as error:
        raise UsageError(f"{who}: {error}") from error


def _new(model: ModelSection | nn.Module, samples: DataSpec) -> nn.Module:
    """Return a network that weights will be loaded into: of one that was passed, a copy."""
    if isinstance(model, nn.Module):
        return copy.deepcopy(model).cpu()
    return make_network(model, samples, loads_weights=True)


def load_network(path: Path, model: _Model | None, data: Data, *, key: str = "teacher.model") -> nn.Module:
    """Return the network of a run folder, of what was exported from one, or of a weights file whose network is named.

    Args:
        path: of any of them.
        model: the network's name, its section, or one like it: for a weights file, for what was passed from Python, or in
            place of the one that an exported file names.
        data: whose classes it must have.
        key: under which that name is given, for messages.

    Raises:
        UsageError: when it is missing, damaged, unfinished, or has another number of classes.
    """
    if path.exists() and is_run(path):
        return checked_run(RunFolder(path), data, model=model, key=key)
    if not path.exists() and key == "teacher.model" and (":" in str(path) or str(path) in names()):
        raise UsageError(f"teacher: {path} is no run folder or file; a network's name is given as {key}={path}")
    weights = weights_of(path, "teacher: ")
    if tells_its_network(weights):
        network, metadata = load_exported(path, model, data=data, key=key)
        check_compatibility(str(path), TrainingDataInfo.from_metadata(metadata, path), data)
        return network
    if model is None:
        hint = f"; of a folder of transformers: {key}=hf:{path}" if path.is_dir() else ""
        raise UsageError(f"teacher: {weights} is a bare weights file; say which network it is with {key}=NAME{hint}")
    network = _new(model if isinstance(model, nn.Module) else named(model), data_spec(data))
    load_weights(network, weights)
    return network


def load_start(network: nn.Module, path: Path, data: Data) -> str:
    """Load the weights that training starts from into a network, and return their fingerprint.

    Args:
        network: of the architecture that the weights are of.
        path: of a run folder, of what was exported from one, or of a weights file.
        data: whose classes a run must have had.

    Raises:
        UsageError: when it is missing, damaged, unfinished, does not fit, or has other classes.
    """
    weights = weights_of(path, "start_from: ")
    learned = learned_at(path)
    if learned is not None:
        check_compatibility(f"start_from: {path}", learned, data)
    load_weights(network, RunFolder(path).weights if is_run(path) else weights)
    return fingerprint(network)


def checked_run(
    folder: RunFolder,
    data: Data,
    weights: Path | None = None,
    *,
    model: _Model | None = None,
    key: str = "teacher.model",
) -> nn.Module:
    """Return a run's network for some data.

    Args:
        folder: of the run.
        data: whose classes and task it must have.
        weights: of a kept epoch instead of the result.
        model: as for `load_run_network`.
        key: likewise.

    Raises:
        UsageError: as for `load_run_network`, or when it has others.
    """
    network, _ = load_run_network(folder, weights, data=data, model=model, key=key)
    check_compatibility(f"run {folder.path}", TrainingDataInfo.from_run(folder), data)
    return network
