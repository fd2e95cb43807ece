"""Any network as one that returns Outputs: logits, and the features that somebody asked for by name.

A feature is a name that the network offers, or the dotted path of a module, whose output it is. Suffixes after the path, each
behind a colon, say more: `input` (what enters the module), and those of `features.layout`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.messages import did_you_mean, first_few
from preceptor.models.features.layout import Transform, transform_of
from preceptor.types import Outputs

__all__ = ["FeatureNetwork", "Observed", "feature_names", "logits_of", "observe"]


class FeatureNetwork(nn.Module, ABC):
    """A network that names its features: stem, block1, ..., pooled, in order."""

    @property
    @abstractmethod
    def feature_paths(self) -> Mapping[str, str]:
        """Feature name -> dotted module path, with suffixes where needed."""

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """The maps just before each block's last ReLU ("block1_preact", ...), given only when asked for."""
        return {}

    @property
    def works_in_place(self) -> bool:
        """Whether a later layer may change a map, so that features must be copied as they pass."""
        return False

    @property
    def path_prefix(self) -> str:
        """Path of the module that the user's dotted paths start at; empty: the network itself."""
        return ""

    @property
    def token_grid(self) -> str:
        """The suffix that lays out the tokens of a path without suffixes, such as "12x1"; empty: none."""
        return ""

    @property
    def options(self) -> Mapping[str, Any]:
        """Further keys of a model section that make it again; empty: it needs none."""
        return {}


class _Store(threading.local):
    """Where hooks put features during a forward pass of the observer, separate for each thread."""

    def __init__(self) -> None:
        self.is_open = False
        self.features: dict[str, Any] = {}

    def __reduce__(self) -> tuple[type[_Store], tuple[()]]:
        return _Store, ()  # a copy starts empty


@dataclass(frozen=True, slots=True)
class _Hook:
    name: str
    store: _Store
    is_copied: bool
    transforms: tuple[Transform, ...]

    def keep(self, value: object) -> None:
        if self.store.is_open:
            for transform in self.transforms:
                value = transform(value)
            self.store.features[self.name] = value.clone() if self.is_copied and isinstance(value, Tensor) else value


class _InputHook(_Hook):
    __slots__ = ()

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.keep(next(iter((*args, *kwargs.values())), None))


class _OutputHook(_Hook):
    __slots__ = ()

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        self.keep(output)


class Observed(nn.Module):
    """A network that returns its logits and the named features.

    Of a module that is called more than once, the last call counts. Features are copied unless the network promises that no
    later layer changes them in place (`nn.ReLU(inplace=True)`).

    Inputs become the type of the network's parameters, where these have one: networks in float64, float16 or bfloat16 run as
    they are. Their features are returned as float32, which connectors are in.

    A network with a single output returns the log-odds z of class 1 against class 0. It is read as the two logits (0, z),
    whose softmax is sigmoid(z): everything that takes two logits takes such networks too.

    Args:
        model: any module that returns logits [batch, classes] or [batch, 1], alone, first in a tuple, or as `logits` of a
            mapping; it gets hooks and is otherwise unchanged.
        names: of the features: those the network offers, or dotted module paths ("layer2.0", "fc:input").

    Raises:
        UsageError: for a name that is neither.
    """

    def __init__(self, model: nn.Module, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(names)
        self._store = _Store()
        kinds = {each.dtype for each in model.parameters() if each.is_floating_point()} or {torch.float32}
        self._dtype = kinds.pop() if len(kinds) == 1 else torch.float32
        is_copied = not isinstance(model, FeatureNetwork) or model.works_in_place
        modules = {name: _resolve(model, name) for name in self.names}
        self._handles = [
            module.register_forward_pre_hook(_InputHook(name, self._store, is_copied, transforms), with_kwargs=True)
            if is_input
            else module.register_forward_hook(_OutputHook(name, self._store, is_copied, transforms))
            for name, (module, is_input, transforms) in modules.items()
        ]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features the network offers by default, in order, whichever are returned."""
        return feature_names(self.model)

    def forward(self, inputs: Tensor) -> Outputs:
        """Return the logits and the named features of a batch.

        Raises:
            UsageError: when the network returns something else than logits [batch, classes], or a feature is no tensor
                or its module was not called.
        """
        self._store.is_open = True
        if self._dtype != torch.float32 and inputs.is_floating_point():
            inputs = inputs.to(self._dtype)
        try:
            logits = logits_of(self.model(inputs), self.model)
            features = dict(self._store.features)
        finally:
            self._store.is_open = False
            self._store.features.clear()
        for name in self.names:
            if name not in features:
                raise UsageError(f"feature {name}: its module was not called in the forward pass")
            if not isinstance(features[name], Tensor):
                raise UsageError(f"feature {name}: is a {type(features[name]).__name__}, expected a tensor")
        if logits.shape[1] == 1:
            logits = functional.pad(logits, (1, 0))
        if self._dtype != torch.float32:
            features = {name: feature.float() for name, feature in features.items()}
        return Outputs(logits, {name: features[name] for name in self.names})

    def release(self) -> nn.Module:
        """Take the hooks off and return the plain network."""
        for handle in self._handles:
            handle.remove()
        return self.model


def observe(model: nn.Module, names: Sequence[str] | None = None) -> Observed:
    """Return the network as one that returns features too.

    Args:
        model: any module that returns logits; of an `Observed`, its network.
        names: of the features; None for all that the network offers by default.

    Raises:
        UsageError: for a name that is neither a feature of the network nor a module in it.

    Examples:
        >>> import torch
        >>> from preceptor.models import create
        >>> outputs = observe(create("resnet8", num_classes=10), ["block2", "pooled"])(torch.zeros(2, 3, 32, 32))
        >>> [tuple(feature.shape) for feature in outputs.features.values()]
        [(2, 32, 16, 16), (2, 64)]
    """
    if isinstance(names, str):
        raise UsageError(f"features: {names!r} is one name, expected a list of names")
    network = model.model if isinstance(model, Observed) else model
    return Observed(network, feature_names(network) if names is None else names)


def feature_names(model: nn.Module, *, preactivation: bool = False) -> tuple[str, ...]:
    """Return the names of the features a network offers by default, in order.

    Args:
        model: any network.
        preactivation: also name the maps before each block's last ReLU, after the others.
    """
    network = model.model if isinstance(model, Observed) else model
    if not isinstance(network, FeatureNetwork):
        return ()
    return (*network.feature_paths, *(network.preactivation_paths if preactivation else ()))


def logits_of(output: object, model: nn.Module) -> Tensor:
    """Return the logits in what a network returned: a tensor, the first of a tuple, or `logits` of a mapping.

    Args:
        output: of the network.
        model: the network, for the message.

    Raises:
        UsageError: when it holds no logits [batch, classes].

    Examples:
        >>> import torch
        >>> logits_of((torch.zeros(2, 10), "hidden states"), nn.Identity()).shape
        torch.Size([2, 10])
    """
    logits = output
    if isinstance(logits, Mapping):
        logits = logits.get("logits")
    elif isinstance(logits, tuple | list) and logits:
        logits = logits[0]
    if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point():
        shown = _describe(output if logits is None else logits)
        raise UsageError(f"model {type(model).__name__} returned {shown}, expected logits [batch, classes]")
    return logits


def _resolve(model: nn.Module, name: str) -> tuple[nn.Module, bool, tuple[Transform, ...]]:
    """Return the module of a feature, whether the feature is its input, and the transforms of its suffixes."""
    named = {**model.feature_paths, **model.preactivation_paths} if isinstance(model, FeatureNetwork) else {}
    modules = dict(model.named_modules(remove_duplicate=False))  # a shared module has more than one path
    prefix = f"{model.path_prefix}." if isinstance(model, FeatureNetwork) and model.path_prefix else ""
    path, *suffixes = named.get(name, name).split(":")
    if isinstance(model, FeatureNetwork) and model.token_grid and name == path:
        suffixes = [model.token_grid]
    if path not in modules:
        path = prefix + path
    if path not in modules or not name.partition(":")[0]:
        base, _, suffix = name.partition(":")
        if suffix and base in named:
            path = named[base].partition(":")[0].removeprefix(prefix)
            raise UsageError(
                f"feature {name}: {base} takes no suffix; suffixes stand behind a module's path: {path}:{suffix}"
            )
        known = [*named, *(key.removeprefix(prefix) for key in modules if key and f"{key}." != prefix)]
        near = did_you_mean(base, known, otherwise=f"it has {first_few(known, 5)}")
        raise UsageError(f"feature {name}: {type(model).__name__} has no such feature or module{near}")
    transforms = tuple(transform_of(suffix, name) for suffix in suffixes if suffix != "input")
    return modules[path], "input" in suffixes, transforms


def _describe(value: object) -> str:
    return f"a tensor {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
