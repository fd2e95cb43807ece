"""Any network as one that returns Outputs: logits, and the features that somebody asked for by name.

A feature is a name that the network offers, or the dotted path of a module, whose output it is. Marks after the path, each
behind a colon, say more: `input` (what enters the module), a number (that member of a tuple), `channels_last` (a map
[batch, height, width, channels]), `14x14` (tokens: the last 196 laid out on that grid), `mean` (over all positions).
"""

from __future__ import annotations

import difflib
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.types import Outputs

__all__ = ["Observed", "Tapped", "feature_names", "logits_of", "observe"]

_Mark = Callable[[object], object]


class Tapped(nn.Module, ABC):
    """A network that names its features: stem, block1, ..., pooled, in order."""

    @property
    @abstractmethod
    def taps(self) -> Mapping[str, str]:
        """Feature name -> dotted module path, with marks where needed."""

    @property
    def preactivation_taps(self) -> Mapping[str, str]:
        """The maps just before each block's last ReLU ("block1_preact", ...), given only when asked for."""
        return {}

    @property
    def works_in_place(self) -> bool:
        """Whether a later layer may change a map, so that features must be copied as they pass."""
        return False

    @property
    def inside(self) -> str:
        """Path of the module that the user's dotted paths start from; empty: the network itself."""
        return ""

    @property
    def grid(self) -> str:
        """The mark that lays out the tokens of a path without marks, "12x1" say; empty: none."""
        return ""

    @property
    def options(self) -> Mapping[str, Any]:
        """Further keys of a model section that make the network again; empty: it needs none."""
        return {}


class _Store(threading.local):
    """Where hooks put what passes while a forward pass of the observer is under way, each thread its own."""

    def __init__(self) -> None:
        self.is_open = False
        self.features: dict[str, Any] = {}

    def __reduce__(self) -> tuple[type[_Store], tuple[()]]:
        return _Store, ()  # a copy starts empty


@dataclass(frozen=True, slots=True)
class _Catch:
    name: str
    store: _Store
    is_copied: bool
    marks: tuple[_Mark, ...]

    def keep(self, value: object) -> None:
        if self.store.is_open:
            for mark in self.marks:
                value = mark(value)
            self.store.features[self.name] = value.clone() if self.is_copied and isinstance(value, Tensor) else value


class _CatchInput(_Catch):
    __slots__ = ()

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.keep(next(iter((*args, *kwargs.values())), None))


class _CatchOutput(_Catch):
    __slots__ = ()

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        self.keep(output)


class Observed(nn.Module):
    """A network together with the names of the features it hands out.

    Of a module that is called more than once, the last call is handed out. Maps of a network that does not promise
    otherwise are copied as they pass, because a later layer may work in place (`nn.ReLU(inplace=True)`).

    A network with a single output says the log-odds z of class 1 against class 0. It is read as the two logits (0, z), whose
    softmax is sigmoid(z): so everything that takes two logits takes such networks too.

    Args:
        model: any module that returns logits [batch, classes] or [batch, 1], alone, first in a tuple, or as `logits` of a
            mapping; it stays as it is but for hooks.
        names: features to hand out: names the network offers, or dotted module paths ("layer2.0", "fc:input").

    Raises:
        UsageError: for a name that is neither.
    """

    def __init__(self, model: nn.Module, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(names)
        self._store = _Store()
        is_copied = not isinstance(model, Tapped) or model.works_in_place
        places = {name: _place(model, name) for name in self.names}
        self._handles = [
            module.register_forward_pre_hook(_CatchInput(name, self._store, is_copied, marks), with_kwargs=True)
            if is_input
            else module.register_forward_hook(_CatchOutput(name, self._store, is_copied, marks))
            for name, (module, is_input, marks) in places.items()
        ]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features the network offers by default, in order, whichever are handed out."""
        return feature_names(self.model)

    def forward(self, inputs: Tensor) -> Outputs:
        """Return the logits and the named features of a batch.

        Raises:
            UsageError: when the network returns something else than logits [batch, classes], or a feature is no tensor
                or its module was not called.
        """
        self._store.is_open = True
        try:
            logits = logits_of(self.model(inputs), self.model)
            caught = dict(self._store.features)
        finally:
            self._store.is_open = False
            self._store.features.clear()
        for name in self.names:
            if name not in caught:
                raise UsageError(f"feature {name}: its module was not called in the forward pass")
            if not isinstance(caught[name], Tensor):
                raise UsageError(f"feature {name}: is a {type(caught[name]).__name__}, expected a tensor")
        if logits.shape[1] == 1:
            logits = functional.pad(logits, (1, 0))
        return Outputs(logits, {name: caught[name] for name in self.names})

    def release(self) -> nn.Module:
        """Take the hooks off and return the plain network."""
        for handle in self._handles:
            handle.remove()
        return self.model


def observe(model: nn.Module, names: Sequence[str] | None = None) -> Observed:
    """Return the network as one that hands out features.

    Args:
        model: any module that returns logits; of an `Observed`, the network inside it is observed anew.
        names: which; None for all that the network offers by default.

    Raises:
        UsageError: for a name that is neither a feature of the network nor a module in it.

    Example:
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
    """Return the features a network offers by default, in order; none for a module that names none.

    Args:
        model: any network.
        preactivation: also name the maps before each block's last ReLU, after the others.
    """
    network = model.model if isinstance(model, Observed) else model
    if not isinstance(network, Tapped):
        return ()
    return (*network.taps, *(network.preactivation_taps if preactivation else ()))


def logits_of(output: object, model: nn.Module) -> Tensor:
    """Return the logits in what a network returned: a tensor, the first of a tuple, or `logits` of a mapping.

    Args:
        output: of the network.
        model: the network, for the message.

    Raises:
        UsageError: when they are no logits [batch, classes].

    Example:
        >>> import torch
        >>> logits_of((torch.zeros(2, 10), "what else it says"), nn.Identity()).shape
        torch.Size([2, 10])
    """
    found = output
    if isinstance(found, Mapping):
        found = found.get("logits")
    elif isinstance(found, tuple | list) and found:
        found = found[0]
    if not isinstance(found, Tensor) or found.ndim != 2 or not found.is_floating_point():
        named = output if found is None else found
        raise UsageError(f"model {type(model).__name__} returned {_kind(named)}, expected logits [batch, classes]")
    return found


def _place(model: nn.Module, name: str) -> tuple[nn.Module, bool, tuple[_Mark, ...]]:
    """Return the module of a feature, whether it is its input, and what its marks do."""
    named = {**model.taps, **model.preactivation_taps} if isinstance(model, Tapped) else {}
    modules = dict(model.named_modules(remove_duplicate=False))  # a shared module has more than one path
    inside = f"{model.inside}." if isinstance(model, Tapped) and model.inside else ""
    dotted, *marks = named.get(name, name).split(":")
    if isinstance(model, Tapped) and model.grid and name == dotted:
        marks = [model.grid]
    if dotted not in modules:
        dotted = inside + dotted
    if dotted not in modules or not name.partition(":")[0]:
        base, _, mark = name.partition(":")
        if mark and base in named:
            path = named[base].partition(":")[0].removeprefix(inside)
            raise UsageError(f"feature {name}: {base} takes no marks; they stand behind a module's path: {path}:{mark}")
        known = [*named, *(key.removeprefix(inside) for key in modules if key and f"{key}." != inside)]
        near = difflib.get_close_matches(name.partition(":")[0], known, n=3, cutoff=0.4) or known[:5]
        raise UsageError(
            f"feature {name}: {type(model).__name__} has no such feature or module; near: {', '.join(near)}"
        )
    return modules[dotted], "input" in marks, tuple(_read_mark(mark, name) for mark in marks if mark != "input")


def _read_mark(mark: str, name: str) -> _Mark:
    if mark.isdecimal():
        return partial(_member, int(mark))
    if grid := re.fullmatch(r"(\d+)x(\d+)", mark):
        return partial(_laid_out, int(grid[1]), int(grid[2]))
    if mark not in _MARKS:
        raise UsageError(f"feature {name}: unknown mark {mark!r}; there are: input, a number, HxW, {', '.join(_MARKS)}")
    return _MARKS[mark]


def _member(place: int, value: object) -> object:
    return value[place] if isinstance(value, tuple | list) and place < len(value) else value


def _laid_out(height: int, width: int, value: object) -> object:
    """Lay tokens [batch, tokens, dim] out as a map; those before the grid (class token, registers) are dropped."""
    if not isinstance(value, Tensor) or value.ndim != 3:
        return value
    batch, tokens, dim = value.shape
    if tokens < height * width:
        raise UsageError(f"feature: {tokens} tokens cannot be laid out on a {height}x{width} grid")
    return value[:, tokens - height * width :].transpose(1, 2).reshape(batch, dim, height, width)


def _channels_first(value: object) -> object:
    return value.permute(0, 3, 1, 2) if isinstance(value, Tensor) and value.ndim == 4 else value


def _mean(value: object) -> object:
    if not isinstance(value, Tensor) or value.ndim < 3:
        return value
    return value.mean(1) if value.ndim == 3 else value.flatten(2).mean(2)


_MARKS: dict[str, _Mark] = {"channels_last": _channels_first, "mean": _mean}


def _kind(value: object) -> str:
    return f"a tensor {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
