"""The features of a network that names none, from what a forward pass shows: stem, blocks, pooled.

Modules are opened, from the outside in, until none of them more than halves the side of its maps, and until rows of token
layers lie open. Of what is found the last at each resolution is a block; of layers that all work at one resolution
(transformers), four evenly spaced ones are. What has a single layer before the first block is the stem.
Token layers of texts are maps of one column: as many rows as a text has tokens, padding among them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.models.features.taps import logits_of

__all__ = ["Stages", "find_stages"]

_Size = tuple[int, int]
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish)
_MOST_OF_A_ROW = 4
_MOST_PREFIX_TOKENS = 16  # class tokens and registers
_ROWS = (nn.Sequential, nn.ModuleList)


@dataclass(frozen=True, slots=True)
class Stages:
    """Where a network's features are, as taps.

    Attributes:
        taps: stem, block1, ..., pooled.
        preactivation: block1_preact, ...
        has_tokens: whether a block gives tokens, whose grid is that of the inputs' size.
    """

    taps: Mapping[str, str]
    preactivation: Mapping[str, str]
    has_tokens: bool = False


@dataclass(frozen=True, slots=True)
class _Call:
    """The last call of a module.

    Attributes:
        path: of the module.
        order: in which calls ended.
        entered: side of the maps that entered, or None.
        size: of the maps that left; of tokens, their grid; None: it gave neither.
        marks: that make a map of what it gave.
        is_tokens: whether it gave tokens.
        value: what it gave.
        given: its first argument.
    """

    path: str
    order: int
    entered: _Size | None
    size: _Size | None
    marks: str
    is_tokens: bool
    value: object
    given: object


def find_stages(network: nn.Module, inputs: Tensor, num_classes: int, *, is_text: bool = False) -> Stages:
    """Return the features of a network, from one forward pass in eval mode.

    Args:
        network: gives logits; its mode is put back.
        inputs: [1, channels, height, width], not constant, or texts [rows, kinds, length]; of any other shape only `pooled`
            is found.
        num_classes: width of the logits.
        is_text: whether they are texts.

    Raises:
        UsageError: when it gives no logits.
    """
    calls = _record(network, inputs, length=inputs.shape[2] if is_text else None)
    walk = _Walk(network, calls, _classifier(calls, dict(network.named_modules()), num_classes))
    stem, rest = _split(walk, walk.atoms())
    blocks = _choose(walk, rest)
    if len(blocks) < 2:
        opened = _choose(walk, _split(walk, walk.atoms(is_level=True))[1], is_level=True)
        blocks = opened if len(opened) > len(blocks) else blocks
    taps = {} if stem is None else {"stem": stem.path + stem.marks}
    preactivation = {}
    for number, block in enumerate(blocks, start=1):
        taps[f"block{number}"] = block.path + block.marks
        if (place := walk.preactivation(block)) is not None:
            preactivation[f"block{number}_preact"] = place
    if walk.classifier is not None and isinstance(walk.classifier.given, Tensor):
        taps["pooled"] = f"{walk.classifier.path}:input{':mean' if walk.classifier.given.ndim > 2 else ''}"
    return Stages(taps, preactivation, any(block.is_tokens for block in blocks))


def _record(network: nn.Module, inputs: Tensor, length: int | None) -> dict[str, _Call]:
    calls: dict[str, _Call] = {}
    image = (inputs.shape[2], inputs.shape[3]) if inputs.ndim == 4 else (0, 0)
    maps: list[_Size] = []
    order = itertools.count()

    def hear(path: str, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        given = args[0] if args else None
        is_several = isinstance(output, tuple | list) and len(output) > 0
        value = output[0] if is_several else output  # type: ignore[index]
        size, layout = _layout(value, image)
        is_tokens = isinstance(value, Tensor) and value.ndim == 3
        if isinstance(value, Tensor) and is_tokens and (size := _grid(value.shape[1], maps, length)) is not None:
            layout = f":{size[0]}x{size[1]}"
        elif size is not None:
            maps.append(size)
        marks = (":0" if is_several else "") + layout
        calls.pop(path, None)  # of several calls the last one counts
        calls[path] = _Call(path, next(order), _layout(given, image)[0], size, marks, is_tokens, value, given)

    modules = list(network.named_modules())
    handles = [module.register_forward_hook(partial(hear, path)) for path, module in modules]
    was_training = network.training
    try:
        with torch.no_grad():
            logits_of(network.eval()(inputs), network)
    finally:
        for handle in handles:
            handle.remove()
        network.train(was_training)
    return calls


def _layout(value: object, image: _Size) -> tuple[_Size | None, str]:
    """Return the height and width of a map as the image's proportions tell them, and the mark of its layout."""
    if not isinstance(value, Tensor) or value.ndim != 4 or not image[0]:
        return None, ""
    _, first, second, third = value.shape
    for size, mark in (((second, third), ""), ((first, second), ":channels_last")):
        if abs(size[0] * image[1] - size[1] * image[0]) <= (max(image) if image[0] != image[1] else 0):
            return size, mark
    return None, ""


def _grid(tokens: int, maps: list[_Size], length: int | None) -> _Size | None:
    """Return the grid that tokens lie on: of a text a column, else the last map that they can be, else a square."""
    if length is not None:
        return (length, 1) if tokens == length else None
    for height, width in reversed(maps):
        if 0 <= tokens - height * width <= _MOST_PREFIX_TOKENS:
            return height, width
    side = math.isqrt(tokens)
    return (side, side) if side * side == tokens else None


def _classifier(calls: Mapping[str, _Call], modules: Mapping[str, nn.Module], num_classes: int) -> _Call | None:
    """Return the call of the last layer with one output a class."""
    found = None
    for path, call in calls.items():
        layer = modules[path]
        width = (
            layer.out_features
            if isinstance(layer, nn.Linear)
            else layer.out_channels
            if isinstance(layer, nn.Conv2d)
            else 0
        )
        found = call if width == num_classes else found
    return found


class _Walk:
    """A network's calls, walked from the outside in."""

    def __init__(self, network: nn.Module, calls: Mapping[str, _Call], classifier: _Call | None) -> None:
        self._modules = dict(network.named_modules())
        self._calls = calls
        self.classifier = classifier

    def atoms(self, *, is_level: bool = False) -> list[_Call]:
        """Return what need not be opened further, in order; `is_level`: rows at one resolution are opened too."""
        end = math.inf if self.classifier is None else self.classifier.order
        found = sorted(self._atoms("", is_level=is_level), key=lambda call: call.order)
        return [call for call in found if call.order < end and self._counts(call)]

    def is_deep(self, call: _Call) -> bool:
        """Say whether a module holds at least two layers with weights."""
        layers = self._modules[call.path].modules()
        return sum(any(weight.ndim > 1 for weight in layer.parameters(recurse=False)) for layer in layers) > 1

    def is_in_row(self, call: _Call) -> bool:
        """Say whether a module is one of a row of its kind."""
        parent, _, _ = call.path.rpartition(".")
        mine = type(self._modules[call.path])
        alike = sum(type(child) is mine for child in self._modules[parent].children())
        return self.is_deep(call) and (alike > 1 or isinstance(self._modules[parent], _ROWS))

    def preactivation(self, call: _Call) -> str | None:
        """Return where a block's map is before its last activation; its own place where it ends in none."""
        inner = [each for path, each in self._calls.items() if f"{path}.".startswith(f"{call.path}.")]
        for each in reversed(inner):
            if isinstance(self._modules[each.path], _ACTIVATIONS) and each.value is call.value:
                return f"{each.path}:input{call.marks}"
        is_rectified = isinstance(call.value, Tensor) and bool((call.value >= 0).all())
        return None if is_rectified else call.path + call.marks

    def _counts(self, call: _Call) -> bool:
        module = self._modules[call.path]
        return isinstance(module, _ACTIVATIONS) or next(module.parameters(), None) is not None

    def _atoms(self, path: str, *, is_level: bool) -> Iterator[_Call]:
        call, children = self._calls.get(path), list(self._called_below(path))
        if call is None or (children and self._is_opened(call, is_level=is_level)):
            for child in children:
                yield from self._atoms(child, is_level=is_level)
        elif call.size is not None:
            yield call

    def _is_opened(self, call: _Call, *, is_level: bool) -> bool:
        if call.size is None:
            return True
        if self.classifier is not None and f"{self.classifier.path}.".startswith(f"{call.path}." if call.path else ""):
            return True
        if call.is_tokens:
            return not self.is_in_row(call)
        if is_level and isinstance(self._modules[call.path], _ROWS):
            return True
        return call.entered is None or any(
            2 * out + 1 < side for out, side in zip(call.size, call.entered, strict=True)
        )

    def _called_below(self, path: str) -> Iterator[str]:
        """Name the nearest called modules below one: a list of modules is not called itself."""
        for name, _ in self._modules[path].named_children():
            child = f"{path}.{name}" if path else name
            if child in self._calls:
                yield child
            elif child in self._modules:
                yield from self._called_below(child)


def _split(walk: _Walk, atoms: list[_Call]) -> tuple[_Call | None, list[_Call]]:
    """Return the stem, and what may be blocks: modules of several layers where there are any, else all."""
    deep = [atom for atom in atoms if walk.is_deep(atom)]
    if not deep:
        return None, atoms
    first = deep[0]
    beside = [atom for atom in atoms if atom.size == first.size and not atom.is_tokens]
    if not first.is_tokens and not walk.is_deep(beside[-1]) and len({atom.size for atom in deep}) > 1:
        stem = beside[-1]  # of several convolutions, and what follows them
        return stem, [atom for atom in deep if atom.order > stem.order]
    before = [atom for atom in atoms if atom.order < first.order and not atom.is_tokens]
    return (before[-1] if before else None), deep


def _choose(walk: _Walk, atoms: list[_Call], *, is_level: bool = False) -> list[_Call]:
    """Return the blocks among what may be one."""
    groups: dict[tuple[_Size | None, bool], list[_Call]] = {}
    for atom in atoms:
        if not atom.is_tokens or walk.is_in_row(atom):
            groups.setdefault((atom.size, atom.is_tokens), []).append(atom)
    if len(groups) > 1:
        groups = {key: row for key, row in groups.items() if key[0] != (1, 1)}  # what follows the pooling
    if is_level and len(groups) > 1:
        return []
    chosen = []
    for (_, is_tokens), row in groups.items():
        if is_tokens or is_level:
            count = min(_MOST_OF_A_ROW, len(row))
            chosen += [row[(place + 1) * len(row) // count - 1] for place in range(count)]
        else:
            chosen.append(row[-1])
    return sorted(chosen, key=lambda call: call.order)
