"""Any network as one that returns Outputs: logits, and the features that somebody asked for by name."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.types import Outputs

__all__ = ["Observed", "Tapped", "feature_names", "observe"]

_INPUT = ":input"


class Tapped(nn.Module, ABC):
    """A network that names its features: stem, block1, ..., pooled, in order."""

    @property
    @abstractmethod
    def taps(self) -> Mapping[str, str]:
        """Feature name -> dotted module path, whose output it is, or with ":input" its input."""

    @property
    def preactivation_taps(self) -> Mapping[str, str]:
        """The maps just before each block's last ReLU ("block1_preact", ...), given only when asked for."""
        return {}


@dataclass(slots=True)
class _Store:
    """Where hooks put what passes, while a forward pass of the observer is under way."""

    is_open: bool = False
    features: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Hook:
    name: str
    store: _Store

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Any = None) -> None:
        if self.store.is_open:
            self.store.features[self.name] = inputs[0] if output is None else output


class Observed(nn.Module):
    """A network together with the names of the features it hands out.

    Args:
        model: any module that returns logits [batch, classes]; it stays as it is but for hooks.
        names: features to hand out: names the network offers, or dotted module paths ("layer2.0", "fc:input").

    Raises:
        UsageError: for a name that is neither.
    """

    def __init__(self, model: nn.Module, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(names)
        self._store = _Store()
        places = {name: _place(model, name) for name in self.names}
        self._handles = [
            module.register_forward_pre_hook(_Hook(name, self._store))
            if is_input
            else module.register_forward_hook(_Hook(name, self._store))
            for name, (module, is_input) in places.items()
        ]

    def forward(self, inputs: Tensor) -> Outputs:
        """Return the logits and the named features of a batch.

        Raises:
            UsageError: when the network returns something else than logits [batch, classes].
        """
        self._store.is_open = True
        try:
            logits = self.model(inputs)
            features = {name: self._store.features[name] for name in self.names}
        except KeyError as error:
            raise UsageError(f"feature {error.args[0]}: its module was not called in the forward pass") from error
        finally:
            self._store.is_open = False
            self._store.features.clear()
        if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point():
            raise UsageError(
                f"model {type(self.model).__name__} returned {_kind(logits)}, expected logits [batch, classes]"
            )
        return Outputs(logits, features)

    def release(self) -> nn.Module:
        """Take the hooks off and return the plain network."""
        for handle in self._handles:
            handle.remove()
        return self.model


def observe(model: nn.Module, names: Sequence[str] | None = None) -> Observed:
    """Return the network as one that hands out features.

    Args:
        model: any module that returns logits.
        names: which; None for all that the network offers by default.

    Example:
        >>> import torch
        >>> from preceptor.models import create
        >>> outputs = observe(create("resnet8", num_classes=10), ["block2", "pooled"])(torch.zeros(2, 3, 32, 32))
        >>> [tuple(feature.shape) for feature in outputs.features.values()]
        [(2, 32, 16, 16), (2, 64)]
    """
    return Observed(model, feature_names(model) if names is None else names)


def feature_names(model: nn.Module) -> tuple[str, ...]:
    """Return the features a network offers by default, in order; none for a module that names none."""
    return tuple(model.taps) if isinstance(model, Tapped) else ()


def _place(model: nn.Module, name: str) -> tuple[nn.Module, bool]:
    named = {**model.taps, **model.preactivation_taps} if isinstance(model, Tapped) else {}
    path = named.get(name, name)
    modules = dict(model.named_modules())
    dotted = path.removesuffix(_INPUT)
    if dotted not in modules or not dotted:
        known = [*named, *(key for key in modules if key)]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:5]
        raise UsageError(
            f"feature {name}: {type(model).__name__} has no such feature or module; near: {', '.join(near)}"
        )
    return modules[dotted], path.endswith(_INPUT)


def _kind(value: object) -> str:
    return f"a tensor {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
