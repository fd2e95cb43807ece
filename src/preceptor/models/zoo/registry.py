"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.messages import did_you_mean
from preceptor.models.zoo.mobilenetv2 import mobilenet_v2
from preceptor.models.zoo.resnet import resnet
from preceptor.models.zoo.resnet50 import resnet50
from preceptor.models.zoo.shufflenetv1 import shufflenet_v1
from preceptor.models.zoo.shufflenetv2 import shufflenet_v2
from preceptor.models.zoo.small import convnet, mlp
from preceptor.models.zoo.vgg import vgg
from preceptor.models.zoo.wrn import wrn
from preceptor.signature import check_hyperparameters, default_hyperparameters

__all__ = ["ZOO", "ZooEntry", "checked_options", "create", "hyperparameters", "names", "parameter_count"]


_X1, _X4 = (16, 16, 32, 64), (32, 64, 128, 256)
_SMALL = (1, 8, 8)
_INPUT_SHAPE = "input_shape"
_FROM_DATA = {"num_classes", "in_channels", _INPUT_SHAPE}  # parameters that are no hyperparameters


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """A row of the zoo.

    Attributes:
        make: returns the network; its hyperparameters are read from its signature. One with `input_shape` in place of
            `in_channels` takes samples of any shape.
        description: in a few words.
        native_shape: of the samples it was made for.
    """

    make: Callable[..., nn.Module]
    description: str
    native_shape: tuple[int, ...] = (3, 32, 32)


ZOO: dict[str, ZooEntry] = {
    **{f"resnet{d}": ZooEntry(partial(resnet, d, _X1), f"CIFAR ResNet-{d}") for d in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{d}x4": ZooEntry(partial(resnet, d, _X4), f"CIFAR ResNet-{d}, four times wider") for d in (8, 32)},
    "ResNet50": ZooEntry(resnet50, "ResNet-50 with a stem for small images"),
    **{f"wrn_{d}_{k}": ZooEntry(partial(wrn, d, k), f"Wide ResNet {d}-{k}") for d in (16, 40) for k in (1, 2)},
    **{f"vgg{d}": ZooEntry(partial(vgg, d), f"VGG-{d} with batch-norm") for d in (8, 11, 13, 16, 19)},
    "MobileNetV2": ZooEntry(mobilenet_v2, "MobileNet v2 at half width"),
    "ShuffleV1": ZooEntry(shufflenet_v1, "ShuffleNet v1, three groups"),
    "ShuffleV2": ZooEntry(shufflenet_v2, "ShuffleNet v2 at width 1"),
    "mlp": ZooEntry(mlp, "multi-layer perceptron, for vectors or flattened images", _SMALL),
    "convnet_s": ZooEntry(partial(convnet, (8, 16), 1), "small convolutional net for 8x8 images", _SMALL),
    "convnet_m": ZooEntry(partial(convnet, (32, 64), 2), "middle-sized convolutional net for 8x8 images", _SMALL),
}


def create(
    name: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    input_shape: Sequence[int] | None = None,
    options: Mapping[str, object] | None = None,
) -> nn.Module:
    """Return a new network of the zoo, which returns logits [batch, num_classes].

    Args:
        name: one of `names()`.
        num_classes: width of the logits, at least 1.
        in_channels: of the images.
        input_shape: of one sample; replaces `in_channels`, and `mlp` needs it for images.
        options: hyperparameters of this network.

    Raises:
        UsageError: for an unknown name or hyperparameter, an invalid value, or vectors for a network for images.

    Example:
        >>> sum(parameter.numel() for parameter in create("resnet8", num_classes=100).parameters())
        83892
    """
    if name not in ZOO:
        raise UsageError(_unknown(name))
    entry = ZOO[name]
    shape = tuple(input_shape) if input_shape is not None else (in_channels,)
    if num_classes < 1:
        raise UsageError(f"model: {name} cannot have {num_classes} classes")
    if not shape or min(shape) < 1:
        raise UsageError(f"model: {name} cannot take samples of shape {shape}")
    checked = checked_options(name, options or {})
    if _INPUT_SHAPE in default_hyperparameters(entry.make):
        return entry.make(num_classes=num_classes, input_shape=shape, **checked)
    if input_shape is not None and len(shape) != 3:
        raise UsageError(f"model: {name} is for images, and the samples have shape {shape}; try mlp")
    return entry.make(num_classes=num_classes, in_channels=shape[0], **checked)


def checked_options(name: str, options: Mapping[str, object]) -> dict[str, Any]:
    """Return all hyperparameters of a network: the options, validated, and its defaults.

    Raises:
        UsageError: for an unknown name or hyperparameter, or an invalid value.
    """
    if name not in ZOO:
        raise UsageError(_unknown(name))
    return check_hyperparameters(ZOO[name].make, options, "model", hidden=_FROM_DATA)


def hyperparameters(name: str) -> dict[str, Any]:
    """Return the hyperparameters of a network and their defaults; `inspect.Parameter.empty` for a needed one.

    Raises:
        UsageError: for an unknown name.

    Example:
        >>> hyperparameters("mlp")
        {'widths': (128, 128)}
    """
    if name not in ZOO:
        raise UsageError(_unknown(name))
    return default_hyperparameters(ZOO[name].make, hidden=_FROM_DATA)


def names() -> dict[str, str]:
    """Return each network's name and description."""
    return {name: entry.description for name, entry in ZOO.items()}


def parameter_count(name: str) -> int:
    """Return the number of trainable parameters for 100 classes and the samples the network was made for.

    Raises:
        UsageError: for an unknown name.
    """
    shape = ZOO[name].native_shape if name in ZOO else None
    with torch.device("meta"):
        network = create(name, num_classes=100, input_shape=shape)
    return sum(parameter.numel() for parameter in network.parameters())


def _unknown(name: str) -> str:
    near = did_you_mean(name, ZOO, otherwise="`preceptor list models` shows them")
    return f"model: unknown name {name!r}{near}"
