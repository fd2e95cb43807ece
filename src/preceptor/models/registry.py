"""The networks by name: those of the zoo, and how those of other libraries are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from preceptor.errors import UsageError
from preceptor.lazy import LazyImport
from preceptor.messages import did_you_mean
from preceptor.signature import default_hyperparameters

__all__ = ["FROM_DATA", "INPUT_SHAPE", "PREFIXES", "ZOO", "ZooEntry", "find", "hyperparameters", "names"]

INPUT_SHAPE = "input_shape"
FROM_DATA = {"num_classes", "in_channels", INPUT_SHAPE}  # parameters that are no hyperparameters
_X1, _X4 = (16, 16, 32, 64), (32, 64, 128, 256)

PREFIXES = {
    "timm:NAME": "any network of timm (extra vision)",
    "torchvision:NAME": "any network of torchvision (extra vision)",
    "hf:PLACE": "a classifier of transformers, for images or for data=text:...: a folder, a config.json, a name in the hub's "
    "cache (extra hf)",
    "PKG.MODULE:FACTORY": "any importable callable that returns a torch.nn.Module",
}


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """A row of the zoo.

    Attributes:
        source: where the function is that returns the network; its hyperparameters are read from its signature. One with
            `input_shape` in place of `in_channels` takes samples of any shape.
        description: in a few words.
        parameters: number of trainable ones, for 100 classes and the samples the network was made for (a test counts them).
        arguments: of the function, by position.
    """

    source: LazyImport[Any]
    description: str
    parameters: int
    arguments: tuple[Any, ...] = ()

    @property
    def make(self) -> Callable[..., Any]:
        """What returns the network, imported."""
        return partial(self.source.load(), *self.arguments)


def _zoo(file: str, function: str) -> LazyImport[Any]:
    return LazyImport(f"preceptor.models.zoo.{file}:{function}")


_RESNET, _WRN, _VGG, _CONVNET = (
    _zoo("resnet", "resnet"),
    _zoo("wrn", "wrn"),
    _zoo("vgg", "vgg"),
    _zoo("small", "convnet"),
)
_RESNETS = {8: 83_892, 14: 181_108, 20: 278_324, 32: 472_756, 44: 667_188, 56: 861_620, 110: 1_736_564}
_WRNS = {(16, 1): 180_916, (16, 2): 703_284, (40, 1): 569_780, (40, 2): 2_255_156}
_VGGS = {8: 3_965_028, 11: 9_277_284, 13: 9_462_180, 16: 14_774_436, 19: 20_086_692}

ZOO: dict[str, ZooEntry] = {
    **{f"resnet{d}": ZooEntry(_RESNET, f"CIFAR ResNet-{d}", count, (d, _X1)) for d, count in _RESNETS.items()},
    **{
        f"resnet{d}x4": ZooEntry(_RESNET, f"CIFAR ResNet-{d}, four times wider", count, (d, _X4))
        for d, count in {8: 1_233_540, 32: 7_433_860}.items()
    },
    "ResNet50": ZooEntry(_zoo("resnet50", "resnet50"), "ResNet-50 with a stem for small images", 23_705_252),
    **{f"wrn_{d}_{k}": ZooEntry(_WRN, f"Wide ResNet {d}-{k}", count, (d, k)) for (d, k), count in _WRNS.items()},
    **{f"vgg{d}": ZooEntry(_VGG, f"VGG-{d} with batch-norm", count, (d,)) for d, count in _VGGS.items()},
    "MobileNetV2": ZooEntry(_zoo("mobilenetv2", "mobilenet_v2"), "MobileNet v2 at half width", 812_836),
    "ShuffleV1": ZooEntry(_zoo("shufflenetv1", "shufflenet_v1"), "ShuffleNet v1, three groups", 949_258),
    "ShuffleV2": ZooEntry(_zoo("shufflenetv2", "shufflenet_v2"), "ShuffleNet v2 at width 1", 1_355_528),
    "mlp": ZooEntry(_zoo("small", "mlp"), "multi-layer perceptron, for vectors or flattened images", 37_732),
    "convnet_s": ZooEntry(_CONVNET, "small convolutional net for 8x8 images", 3_564, ((8, 16), 1)),
    "convnet_m": ZooEntry(_CONVNET, "middle-sized convolutional net for 8x8 images", 80_964, ((32, 64), 2)),
}


def names() -> dict[str, str]:
    """Return each network's name and description."""
    return {name: entry.description for name, entry in ZOO.items()}


def hyperparameters(name: str) -> dict[str, Any]:
    """Return the hyperparameters of a network and their defaults; `inspect.Parameter.empty` for a needed one.

    Raises:
        UsageError: for an unknown name.

    Examples:
        >>> hyperparameters("mlp")
        {'widths': (128, 128)}
    """
    entry = find(name)
    by_position = [*default_hyperparameters(entry.source)][: len(entry.arguments)]
    return default_hyperparameters(entry.source, hidden={*FROM_DATA, *by_position})


def find(name: str) -> ZooEntry:
    """Return a network's row.

    Raises:
        UsageError: for an unknown name.
    """
    if name not in ZOO:
        near = did_you_mean(name, ZOO, otherwise="`preceptor list models` shows them")
        raise UsageError(f"model: unknown name {name!r}{near}")
    return ZOO[name]
