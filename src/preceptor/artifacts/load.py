"""Trained networks with their weights: of a run folder, of an exported file, of a bare weights file."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from preceptor.artifacts.black_boxes import load_onnx
from preceptor.artifacts.classes import copy_classes, order_classifier, order_note, select, select_stated, with_outputs
from preceptor.artifacts.compatibility import TrainingDataInfo, check_compatibility, selection_ways
from preceptor.artifacts.create import AnyModel, check_size, data_spec, make_network, model_section
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.identify import PYTHON, is_run, learned_at, run_metadata, tells_its_network, weights_of
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.sections import ModelSection, OnnxSection
from preceptor.config.trust import loads_code
from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.messages import unheard
from preceptor.models import DataSpec, ModelMetadata, adapt, load_weights, names, read_model_metadata, wrap_as_stated
from preceptor.types import ClassSelection

__all__ = ["load_exported", "load_network", "load_run_network", "load_start", "named_section"]


_Model = AnyModel | ModelSection
_MORE_CLASSES = re.compile("the file has ([0-9]+) classes")  # as `load_weights` says it


def load_network(
    path: Path,
    model: _Model | None,
    data: Data,
    *,
    key: str = "teacher.model",
    weights_key: str | None = None,
    tell: Callable[[str], None] = unheard,
    classes: ClassSelection = None,
    onnx: OnnxSection | None = None,
) -> nn.Module:
    """Return the network of a run folder, of an exported file or Hub folder, of a bare weights file, or an ONNX file as one.

    Args:
        path: of any of them.
        model: the network's name, its section, or a module like it: for a bare weights file, for a network that was passed from
            Python, or in place of the one that an exported file names.
        data: that it will run on; classes, task and the columns of a table are checked against it.
        key: the key of `model`, for messages.
        weights_key: which weights of a checkpoint, as for `load_weights`.
        tell: hears which were taken.
        classes: which of its outputs are the data's classes, where it has more or calls them otherwise: see `match_classes`.
        onnx: how an ONNX file of another program reads its inputs.

    Raises:
        UsageError: when it is missing, damaged or unfinished, or does not fit the data.
    """
    name_of_key = key.replace("model", "weights_key")
    if path.suffix == ".onnx":
        if model is not None:
            raise UsageError(f"{key}: {path} is a program, whose network needs no name; leave it out")
        _check_bare(path, weights_key, name_of_key)
        return load_onnx(path, data, onnx or OnnxSection(), key=_selection_key(key), classes=classes)
    if onnx not in {None, OnnxSection()}:
        raise UsageError(f"{key.replace('model', 'onnx')}: {path} is no .onnx file")
    if path.exists() and is_run(path):
        _check_bare(path, weights_key, name_of_key)
        return load_run_network(RunFolder(path), model=model, data=data, key=key, classes=classes)
    if not path.exists() and key == "teacher.model" and (":" in str(path) or str(path) in names()):
        raise UsageError(f"teacher: {path} is no run folder or file; a network's name is given as {key}={path}")
    weights = weights_of(path, "teacher: ")
    if tells_its_network(weights):
        _check_bare(path, weights_key, name_of_key)
        return load_exported(path, model=model, data=data, key=key, classes=classes)
    if model is None:
        hint = f"; of a folder of transformers: {key}=hf:{path}" if path.is_dir() else ""
        raise UsageError(f"teacher: {weights} is a bare weights file; say which network it is with {key}=NAME{hint}")
    made_of = model if isinstance(model, nn.Module) else model_section(model)
    selection_key = _selection_key(key)
    network = _new(made_of, data_spec(data))
    try:
        notes = load_weights(network, weights, weights_key=weights_key, key=name_of_key)
    except UsageError as error:
        wider = _MORE_CLASSES.search(str(error))
        if wider is None or int(wider[1]) <= data.num_classes or isinstance(made_of, nn.Module):
            raise
        if classes is None:
            raise UsageError(f"{error}; {selection_ways(selection_key)}") from error
        network = _new(made_of, replace(data_spec(data), num_classes=int(wider[1])))
        notes = load_weights(network, weights, weights_key=weights_key, key=name_of_key)
    for note in notes:
        tell(note)
    return select_stated(f"teacher {weights}", network, data, classes, selection_key)


def _check_bare(path: Path, weights_key: str | None, key: str) -> None:
    if weights_key is not None:
        raise UsageError(
            f"{key}: {weights_key} is for checkpoints, and {path} holds the weights of one network; leave it out"
        )


def load_run_network(
    folder: RunFolder,
    weights: Path | None = None,
    *,
    model: _Model | None = None,
    data: Data | None = None,
    key: str = "model",
    classes: ClassSelection = None,
) -> nn.Module:
    """Return a finished run's network with its weights.

    Args:
        folder: of the run.
        weights: of a kept epoch instead of the result.
        model: the network, where the run's was passed from Python or its name loads code: its name, its section, or a module
            like it, of which a copy gets the weights. Of a name that the run states too, the run's keys are taken.
        data: that it will run on, where it may differ from the run's own. Classes, task and the columns of a table are checked;
            images of another size or normalisation are converted to those of the run.
        key: the key of `model`, for messages; an option of the command line with its dashes.
        classes: as for `load_network`.

    Raises:
        UsageError: when the folder holds no finished run, or a damaged one; when the data do not fit; when the network must be
            named and `model` is None, or `model` is another network than the run's.
    """
    metadata = run_metadata(folder)
    name = str(metadata.model["name"])
    other = (
        type(model).__name__ if isinstance(model, nn.Module) else None if model is None else model_section(model).name
    )
    if other not in {None, name} and not name.startswith(PYTHON):
        if not loads_code(name):
            raise UsageError(f"{key}: {other} is not needed: run folder {folder.path} knows its network")
        if not isinstance(model, nn.Module):
            raise UsageError(f"{key}: {other} is not the network of run folder {folder.path}, which is {name}")
    return _load(f"run {folder.path}", folder.read_weights(weights), metadata, model, data, key, classes)


def load_exported(
    path: Path,
    *,
    model: _Model | None = None,
    data: Data | None = None,
    key: str = "model",
    classes: ClassSelection = None,
) -> nn.Module:
    """Return the network that was exported as safetensors, into a file or a folder for the Hub.

    Args:
        path: of either.
        model: another way to make its network than the one that the file names, as for `load_run_network`.
        data: as for `load_run_network`.
        key: likewise.
        classes: likewise.

    Raises:
        UsageError: when it is missing or damaged, or does not say which network it is, or as for `load_run_network`.
    """
    weights = weights_of(path)
    return _load(str(path), weights, read_model_metadata(weights), model, data, key, classes)


def load_start(
    network: nn.Module, path: Path, data: Data, *, weights_key: str | None = None, tell: Callable[[str], None] = unheard
) -> str:
    """Load the weights that training starts from into a network, and return their fingerprint.

    The rows of its classifier are put in the order of the data's classes, by name; where there are more of them, those are
    left out that the data do not have.


    Args:
        network: of the architecture that the weights belong to.
        path: of a run folder, an exported file or Hub folder, or a weights file.
        data: of the new run; a run or exported file must have been trained on the same classes.
        weights_key: which weights of a checkpoint, as for `load_weights`.
        tell: hears which were taken, and how classes were ordered.

    Raises:
        UsageError: when it is missing, damaged, unfinished, does not fit, or has other classes.
    """
    weights = weights_of(path, "start_from: ")
    learned = learned_at(path)
    if learned is not None:
        _check_bare(path, weights_key, "weights_key")
        notes = _load_start(network, path, RunFolder(path).read_weights() if is_run(path) else weights, learned, data)
    else:
        notes = (*load_weights(network, weights, weights_key=weights_key), *order_classifier(network, data))
    for note in notes:
        tell(note)
    return fingerprint(network)


def _load_start(
    network: nn.Module, path: Path, weights: Path, learned: TrainingDataInfo, data: Data
) -> tuple[str, ...]:
    """Load weights whose classes are known, and return notes on them."""
    num_outputs = len(learned.class_names)
    selection: ClassSelection = "match" if num_outputs > data.num_classes else None
    order = check_compatibility(f"start_from: {path}", learned, data, selection, key="")
    if order is None:
        load_weights(network, weights)
        return ()
    source = with_outputs(network, num_outputs, data.num_classes)
    load_weights(source, weights)
    copy_classes(source, network, order, data)
    return (f"start_from: {order_note(order, data)}",)


def _load(
    who: str,
    weights: Path,
    metadata: ModelMetadata,
    model: _Model | None,
    data: Data | None,
    key: str,
    classes: ClassSelection,
) -> nn.Module:
    """Return a network with its weights; where it runs on data unlike those it was trained on, an adapter converts them."""
    mean, std = metadata.preprocessing.mean, metadata.preprocessing.std
    trained_on = DataSpec(len(metadata.class_names), metadata.input_shape, mean, std, metadata.vocabulary)
    target = trained_on if data is None else data_spec(data)
    made_of = _model_of(metadata.model, model, who, key)
    if trained_on.vocabulary is not None:
        if target.vocabulary != trained_on.vocabulary:
            what = "samples are no texts" if target.vocabulary is None else "texts are of another tokenizer"
            raise UsageError(f"{who} reads texts, and the data's {what}; data=text:PATH data.tokenizer=FOLDER as there")
        trained_on = replace(trained_on, shape=target.shape)  # any length will do
    order = None
    if data is not None:
        learned = TrainingDataInfo.from_metadata(metadata, who)
        order = check_compatibility(who, learned, data, classes, _selection_key(key))
    target = replace(target, num_classes=trained_on.num_classes)
    is_alike = len(target.shape) == len(trained_on.shape)
    example = target.example if target.shape == trained_on.shape else None
    if isinstance(made_of, ModelSection):
        check_size(who, made_of, trained_on, weights)
    network = wrap_as_stated(_new(made_of, replace(trained_on, example=example)), metadata.model)
    load_weights(network, weights)
    if target != trained_on and is_alike:
        try:
            network = adapt(network, trained_on, target)
        except UsageError as error:
            raise UsageError(f"{who}: {error}") from error
    return network if data is None else select(network, order, trained_on.num_classes, data)


def _selection_key(model_key: str) -> str:
    """Return the key that selects classes beside a key that names a network."""
    return f"{model_key.removesuffix('model')}classes"


def _model_of(stated: Mapping[str, Any], model: _Model | None, who: str, key: str) -> ModelSection | nn.Module:
    """Return what a network is made of: `model`, with the keys that its run or file states for that name; or what these state.

    Raises:
        UsageError: when `model` is None and their name is that of a Python object, or loads code.
    """
    section = ModelSection(**stated)
    if isinstance(model, nn.Module):
        return model
    if model is not None:
        return named_section(stated, model)
    word = f"{key} " if key.startswith("--") else f"{key}="
    if loads_code(section.name):
        raise UsageError(
            f"{who}: its network is {section.name}, and no file alone loads code or reaches the network; if you trust that name, "
            f"add {word}{section.name}"
        )
    if section.name.startswith(PYTHON):
        raise UsageError(
            f"{who}: its network was passed as a Python object ({section.name}), so it cannot be made from its name; "
            f"give it again: {word}PKG.MODULE:FACTORY, or from Python the network itself as {key.lstrip('-')}"
        )
    return section


def named_section(stated: Mapping[str, Any], model: str | Mapping[str, Any] | ModelSection) -> ModelSection:
    """Return the section of a network that the user names; of the name that a run or file states, with the keys stated there."""
    named = model_section(model)
    own = named.model_dump(exclude_unset=True)
    return ModelSection(**{**stated, **own}) if named.name == stated["name"] else named


def _new(model: ModelSection | nn.Module, spec: DataSpec) -> nn.Module:
    """Return a network that weights will be loaded into: a new one, or a copy of a module."""
    if isinstance(model, nn.Module):
        return copy.deepcopy(model).cpu()
    return make_network(model, spec, loads_weights=True)
