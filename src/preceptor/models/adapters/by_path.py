"""`pkg.module:factory`: any importable callable that returns a network.

It is called with the further keys and, where its signature has them, `num_classes`, `in_channels`, `input_shape` and, for
texts, `vocabulary_size`.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from preceptor.errors import UsageError
from preceptor.extras import with_torchvision
from preceptor.models.adapters.adapted import REFUSALS, NativePreprocessing, adapt, first_line, split_preprocessing
from preceptor.models.adapters.input_adapter import DataSpec
from preceptor.models.adapters.text import TextClassifier, reads_texts

__all__ = ["make"]


def make(name: str, samples: DataSpec, options: Mapping[str, Any], *, loads_weights: bool) -> nn.Module:
    """Return what a factory makes; modules are looked for in the working directory too.

    Args:
        name: dotted module path, colon, name in it, dotted where it is inside a class.
        samples: what the network will be given.
        options: further keys.
        loads_weights: whether weights will be loaded into it.

    Raises:
        UsageError: when there is no such callable, it does not take these keys, fails, or returns no network for such
            samples.
    """
    overrides, rest = split_preprocessing(options)
    factory = _find(name)
    parameters = inspect.signature(factory).parameters
    is_open = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for key in rest:
        if key not in parameters and not is_open:
            raise UsageError(f"model.{key}: {name} has no such key; it has {', '.join(parameters) or 'none'}")
    known = {
        "num_classes": samples.num_classes,
        "in_channels": samples.shape[0],
        "input_shape": samples.shape,
        **({} if samples.vocabulary is None else {"vocabulary_size": samples.vocabulary.size}),
    }
    given = {**{key: value for key, value in known.items() if key in parameters}, **rest}
    try:
        network = with_torchvision(partial(factory, **given))
    except REFUSALS as error:
        words = ", ".join(f"{key}={value}" for key, value in given.items())
        raise UsageError(f"model: {name}({words}) failed: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise UsageError(f"model: {name} returned a {type(network).__name__}, expected a torch.nn.Module")
    if samples.vocabulary is not None and reads_texts(network):
        network = TextClassifier(network)
    return adapt(name, network, samples, NativePreprocessing(), overrides, loads_weights=loads_weights)


def _find(name: str) -> Any:
    path, _, inner = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        module = with_torchvision(partial(importlib.import_module, path))
    except (ImportError, ValueError, SyntaxError) as error:
        raise UsageError(f"model: {name}: cannot import {path}: {first_line(error)}") from error
    found: Any = module
    for part in inner.split("."):
        members = vars(found)
        if part not in members:
            there = [each for each, value in members.items() if callable(value) and not each.startswith("_")]
            raise UsageError(f"model: {path} has no {inner!r}; it has {', '.join(there) or 'no callables'}")
        found = members[part]
    if not callable(found):
        raise UsageError(f"model: {name} is a {type(found).__name__}, expected a callable that returns a network")
    return found
