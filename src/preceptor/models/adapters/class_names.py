"""The class names that networks of other libraries state: transformers' `id2label`, timm's `label_names`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

__all__ = ["class_names_of", "config_names", "rename_config", "timm_names"]

_COMPILED = "_orig_mod"  # where torch.compile keeps a network


def class_names_of(network: nn.Module) -> tuple[str, ...]:
    """Return the class names that a transformers or timm network states, one per output; empty: none.

    Examples:
        >>> from types import SimpleNamespace
        >>> network = nn.Linear(4, 2)
        >>> network.config = SimpleNamespace(id2label={0: "cat", 1: "dog"}, label2id={})
        >>> class_names_of(network)
        ('cat', 'dog')
    """
    network = dict(network.named_children()).get(_COMPILED, network)
    values = vars(network)
    return config_names(values.get("config")) or timm_names(values.get("pretrained_cfg"), values.get("num_classes"))


def config_names(config: Any) -> tuple[str, ...]:
    """Return the names in a configuration of transformers; empty where there are none but LABEL_0, LABEL_1, ..."""
    try:
        stated = [config.id2label, {number: name for name, number in config.label2id.items()}]
    except AttributeError:
        return ()
    for names in stated:
        named = {int(number): str(name) for number, name in names.items()} if isinstance(names, Mapping) else {}
        ordered = tuple(named[number] for number in sorted(named))
        if sorted(named) == list(range(len(named))) and not all(re.fullmatch(r"LABEL_\d+", name) for name in ordered):
            return ordered
    return ()


def timm_names(stated: Any, num_classes: Any) -> tuple[str, ...]:
    """Return the names in timm's `pretrained_cfg`, where they are as many as the classes."""
    names = stated.get("label_names") if isinstance(stated, Mapping) else None
    return tuple(map(str, names)) if isinstance(names, list | tuple) and len(names) == num_classes else ()


def rename_config(network: nn.Module, names: Sequence[str]) -> None:
    """Write the classes that a network is trained on into its configuration, where it is of transformers, or of timm."""
    values = vars(network)
    if timm_names(values.get("pretrained_cfg"), values.get("num_classes")):
        values["pretrained_cfg"] = {**values["pretrained_cfg"], "label_names": list(names)}
    config: Any = values.get("config")
    if not config_names(config):
        return
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
