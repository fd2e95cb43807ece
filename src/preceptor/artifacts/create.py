"""A new network for some data, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preceptor.artifacts.identify import PYTHON
from preceptor.config.sections import DataSection, ModelSection
from preceptor.data import Data, check_source
from preceptor.errors import UsageError
from preceptor.models import Adapted, DataSpec, FeatureNetwork, NetworkWrapper, check_name, make

__all__ = [
    "AnyModel",
    "check_names",
    "check_size",
    "data_spec",
    "make_network",
    "model_section",
    "reading_notes",
    "resolved_section",
]

AnyModel = str | Mapping[str, Any] | nn.Module


def check_names(data: DataSection, model: ModelSection | None) -> None:
    """Check the names of data and network, and their keys, as far as that goes without reading or making them.

    Raises:
        UsageError: for an unknown name or key, or a value of the wrong type.
    """
    check_source(data.name, data.hyperparameters)
    if model is not None:
        check_name(model.name, model.hyperparameters)


def data_spec(data: Data) -> DataSpec:
    """Return what a network must know of some data."""
    example = None
    if len(data.input_shape) != 3 and data.vocabulary is None:
        example = data.normalisation(data.train.inputs(torch.tensor([0])))[0]
    mean, std = data.preprocessing.mean, data.preprocessing.std
    return DataSpec(data.num_classes, data.input_shape, mean, std, data.vocabulary, example)


def make_network(section: ModelSection, spec: DataSpec, *, loads_weights: bool = False) -> nn.Module:
    """Return a new network.

    Args:
        section: its name and its keys.
        spec: of the data that it will run on.
        loads_weights: whether weights will be loaded into it afterwards, so that it need not load its own.

    Raises:
        UsageError: for an unknown name or option, one that only Python can provide, or outputs that do not fit the classes.
    """
    if section.name.startswith(PYTHON):
        raise UsageError(
            f"model: {section.name} was passed as a Python object and cannot be made from its name; pass it again from "
            "Python, or name it PKG.MODULE:FACTORY"
        )
    outputs = spec.num_classes if section.logits is None else section.logits
    if outputs not in ({1, 2} if spec.num_classes == 2 else {spec.num_classes}):
        raise UsageError(f"model.logits: {outputs} for {spec.num_classes} classes; one per class, or 1 for two classes")
    return make(section.name, replace(spec, num_classes=outputs), section.hyperparameters, loads_weights=loads_weights)


def check_size(who: str, section: ModelSection, spec: DataSpec, weights: Path) -> None:
    """Check that a network which a file names is no larger than the file: a few digits can ask for any amount of memory.

    Nothing is allocated for it. A network that cannot be made without memory is checked by its numbers alone; one without
    numbers of its own is as large as its name says, and is not made twice.

    Args:
        who: names the file, for messages.
        section: of the network.
        spec: of the data that it was trained on.
        weights: its file.

    Raises:
        UsageError: when a number or the network is larger than the bytes of the file.
    """
    most = weights.stat().st_size
    for key, value in section.hyperparameters.items():
        if _largest(value) > most:
            raise UsageError(f"{who}: its network has {key}={value}, and its weights are {most:,} bytes")
    if _largest(section.hyperparameters) <= 1:  # switches
        return
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            network = make_network(section, spec, loads_weights=True)
    except Exception:  # other libraries': whoever makes it with memory says what is wrong
        return
    number = sum(parameter.numel() for parameter in network.parameters())
    if number > most:
        raise UsageError(f"{who}: its network has {number:,} parameters, and its weights are {most:,} bytes")


def resolved_section(section: ModelSection, network: nn.Module) -> dict[str, Any]:
    """Return a network's section as plain values that make it again, even where the files that it names are gone."""
    return {**section.model_dump(mode="json"), **(network.options if isinstance(network, FeatureNetwork) else {})}


def reading_notes(role: str, networks: Sequence[nn.Module]) -> list[str]:
    """Return a line for each network that converts its inputs first, or whose logits are changed: how."""
    return [
        f"{role if len(networks) == 1 else f'{role} {number}'}: {network.note}"
        for number, network in enumerate(networks, start=1)
        if isinstance(network, Adapted | NetworkWrapper) and network.note
    ]


def model_section(model: str | Mapping[str, Any] | ModelSection) -> ModelSection:
    """Return the section of a network; a name alone is short for one."""
    if isinstance(model, ModelSection):
        return model
    return ModelSection(name=model) if isinstance(model, str) else ModelSection.model_validate(dict(model))


def _largest(value: object) -> int:
    """Return the largest whole number in a value, however deep in lists and mappings."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    own = value if isinstance(value, int) else 0
    return max(own, *map(_largest, inner), 0)
