"""`torchvision:NAME`: networks of torchvision; `model.weights=DEFAULT` loads its weights, further keys are its builder's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.error import URLError

from torch import nn

from preceptor.errors import UsageError
from preceptor.extras import import_torchvision
from preceptor.messages import did_you_mean, first_line
from preceptor.models.adapters.adapted import REFUSALS, wrap_network
from preceptor.models.adapters.input_adapter import DataSpec
from preceptor.models.adapters.preprocessing import NativePreprocessing, check_outputs, image_shape, split_preprocessing

__all__ = ["make"]


def make(name: str, data_spec: DataSpec, options: Mapping[str, Any], *, loads_weights: bool) -> nn.Module:
    """Return a network by its name in torchvision; it reads three channels, a single one is repeated.

    Args:
        name: in torchvision.
        data_spec: what it will be given.
        options: further keys.
        loads_weights: whether weights will be loaded into it; it then does not load its own.

    Raises:
        UsageError: for an unknown name, invalid keys, missing weights, or samples that it cannot read.
    """
    title = f"torchvision:{name}"
    image_shape(title, data_spec)
    models = import_torchvision(needed_by=title).models
    overrides, rest = split_preprocessing(check_outputs(options, "num_classes", data_spec.num_classes))
    weights = rest.pop("weights", None)
    known = models.list_models(module=models)
    if name not in known:
        near = did_you_mean(name, known, otherwise="torchvision.models.list_models() names them")
        raise UsageError(f"model: torchvision has no {name!r}{near}")
    native = NativePreprocessing(channels=3) if weights is None else _native(models, name, str(weights))
    try:
        if weights is None or loads_weights:
            network: nn.Module = models.get_model(name, weights=None, num_classes=data_spec.num_classes, **rest)
        else:
            network = models.get_model(name, weights=str(weights), **rest)
            _set_outputs(network, data_spec.num_classes)
    except URLError as error:
        raise UsageError(
            f"model.weights: those of {title} are not on this machine, and cannot be downloaded ({error.reason})"
        ) from error
    except (*REFUSALS, OSError) as error:
        keys = ", ".join(f"{key}={value}" for key, value in options.items()) or "no keys"
        raise UsageError(f"model: {title} cannot be made with {keys}: {first_line(error)}") from error
    native = replace(native, fixed_size=_fixed_size(models, network))
    return wrap_network(title, network, data_spec, native, overrides, loads_weights=loads_weights)


def _native(models: Any, name: str, weights: str) -> NativePreprocessing:
    """Return what weights state of their training."""
    known = models.get_model_weights(name)
    if weights not in known.__members__:
        raise UsageError(f"model.weights: torchvision:{name} has no {weights}; it has {', '.join(known.__members__)}")
    stated = known[weights].transforms()
    side = int(stated.crop_size[0])
    names = tuple(known[weights].meta["categories"])
    return NativePreprocessing(
        3, None, (side, side), tuple(stated.mean), tuple(stated.std), len(names), class_names=names
    )


def _fixed_size(models: Any, network: nn.Module) -> tuple[int, int] | None:
    """Return the only size that a vision transformer takes; torchvision's other networks take any."""
    if isinstance(network, models.VisionTransformer):
        return network.image_size, network.image_size  # type: ignore[return-value]
    return (224, 224) if isinstance(network, models.MaxVit) else None


def _set_outputs(network: nn.Module, num_classes: int) -> None:
    """Replace the last layer by a new classifier, where its width differs."""
    layers = [(path, layer) for path, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    path, last = layers[-1]
    parent, _, child = path.rpartition(".")
    if isinstance(last, nn.Linear) and last.out_features != num_classes:
        network.get_submodule(parent).register_module(
            child, nn.Linear(last.in_features, num_classes, bias=last.bias is not None)
        )
    if isinstance(last, nn.Conv2d) and last.out_channels != num_classes:
        network.get_submodule(parent).register_module(child, nn.Conv2d(last.in_channels, num_classes, kernel_size=1))
