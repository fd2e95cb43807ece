"""The networks by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.models.mobilenetv2 import mobilenet_v2
from preceptor.models.resnet import resnet
from preceptor.models.resnet50 import resnet50
from preceptor.models.shufflenetv1 import shufflenet_v1
from preceptor.models.shufflenetv2 import shufflenet_v2
from preceptor.models.small import convnet, mlp
from preceptor.models.vgg import vgg
from preceptor.models.wrn import wrn

__all__ = ["ZOO", "ZooEntry", "create", "names", "parameter_count"]


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """How a network is made, what it is in a few words, which further knobs it has, and whether it takes vectors."""

    make: Callable[..., nn.Module]
    description: str
    options: tuple[str, ...] = ()
    takes_vectors: bool = False


ZOO: dict[str, ZooEntry] = {
    **{f"resnet{d}": ZooEntry(partial(resnet, d), f"CIFAR ResNet-{d}") for d in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{d}x4": ZooEntry(partial(resnet, d, wide=True), f"CIFAR ResNet-{d}, four times wider") for d in (8, 32)},
    "ResNet50": ZooEntry(resnet50, "ResNet-50 with a stem for small images"),
    **{f"wrn_{d}_{k}": ZooEntry(partial(wrn, d, k), f"Wide ResNet {d}-{k}") for d in (16, 40) for k in (1, 2)},
    **{f"vgg{d}": ZooEntry(partial(vgg, d), f"VGG-{d} with batch-norm") for d in (8, 11, 13, 16, 19)},
    "MobileNetV2": ZooEntry(mobilenet_v2, "MobileNet v2 at half width"),
    "ShuffleV1": ZooEntry(shufflenet_v1, "ShuffleNet v1, three groups"),
    "ShuffleV2": ZooEntry(shufflenet_v2, "ShuffleNet v2 at width 1"),
    "mlp": ZooEntry(mlp, "multi-layer perceptron, for vectors or flattened images", ("widths",), takes_vectors=True),
    "convnet_s": ZooEntry(partial(convnet, (8, 16), 1), "small convolutional net for 8x8 images"),
    "convnet_m": ZooEntry(partial(convnet, (32, 64), 2), "middle-sized convolutional net for 8x8 images"),
}


def create(
    name: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    input_shape: Sequence[int] | None = None,
    options: Mapping[str, object] | None = None,
) -> nn.Module:
    """Return a new network of the zoo: a plain module that returns logits [batch, num_classes].

    Args:
        name: one of `names()`.
        num_classes: width of the logits, at least 1.
        in_channels: of the images.
        input_shape: of one sample; stands in for `in_channels` where given, and `mlp` needs it for images.
        options: further knobs of this network.

    Raises:
        UsageError: for an unknown name or option, or vectors given to a network for images.

    Example:
        >>> sum(parameter.numel() for parameter in create("resnet8", num_classes=100).parameters())
        83892
    """
    if name not in ZOO:
        near = difflib.get_close_matches(name, ZOO, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`preceptor list models` shows them"
        raise UsageError(f"model: unknown name {name!r}; {hint}")
    make, own = ZOO[name].make, ZOO[name].options
    unknown = sorted(set(options or {}) - set(own))
    if unknown:
        raise UsageError(f"model.{unknown[0]}: {name} has no such key; it has {', '.join(own) or 'none'}")
    channels = in_channels if input_shape is None else input_shape[0]
    if ZOO[name].takes_vectors:
        return make(num_classes=num_classes, input_shape=input_shape or (channels,), **(options or {}))
    if input_shape is not None and len(input_shape) != 3:
        raise UsageError(f"model: {name} is for images, and the samples have shape {tuple(input_shape)}; try mlp")
    return make(num_classes=num_classes, in_channels=channels, **(options or {}))


def names() -> dict[str, str]:
    """Return each network's name and description."""
    return {name: entry.description for name, entry in ZOO.items()}


def parameter_count(name: str) -> int:
    """Return the number of trainable parameters for 100 classes (8x8 grey images for the small nets and `mlp`)."""
    shape = (1, 8, 8) if name in {"mlp", "convnet_s", "convnet_m"} else (3, 32, 32)
    with torch.device("meta"):
        network = create(name, num_classes=100, input_shape=shape)
    return sum(parameter.numel() for parameter in network.parameters())
