"""`pkg.module:factory`: any importable callable that returns a network.

It is called with the further keys and, where its signature names them, `num_classes`, `in_channels`, `input_shape` and, for
texts, `vocabulary_size`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from preceptor.errors import UsageError
from preceptor.extras import with_torchvision
from preceptor.messages import did_you_mean, first_line
from preceptor.models.adapters.adapted import REFUSALS, wrap_network
from preceptor.models.adapters.class_names import class_names_of
from preceptor.models.adapters.input_adapter import DataSpec
from preceptor.models.adapters.preprocessing import NativePreprocessing, check_outputs, split_preprocessing
from preceptor.models.adapters.text import TextClassifier, reads_texts
from preceptor.own_code import find_object

__all__ = ["make"]


def make(name: str, data_spec: DataSpec, options: Mapping[str, Any], *, loads_weights: bool) -> nn.Module:
    """Return what a factory makes; modules in the working directory are found too.

    Args:
        name: dotted module path, colon, name in the module, dotted where it is inside a class.
        data_spec: what the network will be given.
        options: further keys.
        loads_weights: whether weights will be loaded into it.

    Raises:
        UsageError: when there is no such callable, it does not take these keys, fails, or returns no network for such
            samples.
    """
    overrides, rest = split_preprocessing(options)
    factory = find_object(name, "model")
    if not callable(factory):
        raise UsageError(f"model: {name} is a {type(factory).__name__}, expected a callable that returns a network")
    parameters = inspect.signature(factory).parameters
    is_open = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for key in rest:
        if key not in parameters and not is_open:
            raise UsageError(f"model.{key}: {name} has no such key{did_you_mean(key, parameters)}")
    from_data = {
        "num_classes": data_spec.num_classes,
        "in_channels": data_spec.shape[0],
        "input_shape": data_spec.shape,
        **({} if data_spec.vocabulary is None else {"vocabulary_size": data_spec.vocabulary.size}),
    }
    if "num_classes" in parameters:
        rest = check_outputs(rest, "num_classes", data_spec.num_classes)
    arguments = {**{key: value for key, value in from_data.items() if key in parameters}, **rest}
    try:
        network = with_torchvision(partial(factory, **arguments))
    except REFUSALS as error:
        words = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise UsageError(f"model: {name}({words}) failed: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise UsageError(f"model: {name} returned a {type(network).__name__}, expected a torch.nn.Module")
    names = class_names_of(network)
    if data_spec.vocabulary is not None and reads_texts(network):
        network = TextClassifier(network)
    native = NativePreprocessing(class_names=names if loads_weights else ())
    return wrap_network(name, network, data_spec, native, overrides, loads_weights=loads_weights)
