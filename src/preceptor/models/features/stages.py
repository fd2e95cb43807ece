"""The features of a network that names none, found by a forward pass: stem, blocks, pooled.

The tree of modules is opened from the root until no module more than halves the side of its maps, and sequences of token
layers are opened. Of the modules found, the last at each resolution is a block; of layers that all work at one resolution
(transformers), four evenly spaced ones are blocks. A module of a single layer before the first block is the stem.
Token layers of texts are maps of one column with a row per token, padding included.
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

from preceptor.models.features.layout import MOST_PREFIX_TOKENS
from preceptor.models.features.observed import logits_of

__all__ = ["Stages", "find_stages"]

_Size = tuple[int, int]
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish)
_MOST_BLOCKS_OF_A_SEQUENCE = 4
_SEQUENCES = (nn.Sequential, nn.ModuleList)


@dataclass(frozen=True, slots=True)
class Stages:
    """The paths of a network's features, with suffixes.

    Attributes:
        feature_paths: stem, block1, ..., pooled.
        preactivation_paths: block1_preact, ...
        has_tokens: whether a block gives tokens, whose grid depends on the inputs' size.
    """

    feature_paths: Mapping[str, str]
    preactivation_paths: Mapping[str, str]
    has_tokens: bool = False


@dataclass(frozen=True, slots=True)
class _Call:
    """The last call of a module.

    Attributes:
        path: of the module.
        order: its place among the calls, by their end.
        input_size: height and width of the input map, or None.
        size: of the output map; of tokens, their grid; None: the output is neither.
        suffixes: that make a map of its output.
        is_tokens: whether its output is tokens.
        output: the tensor, of several the first.
        input: its first argument.
    """

    path: str
    order: int
    input_size: _Size | None
    size: _Size | None
    suffixes: str
    is_tokens: bool
    output: object
    input: object


def find_stages(network: nn.Module, inputs: Tensor, num_classes: int, *, is_text: bool = False) -> Stages:
    """Return the features of a network, from one forward pass in eval mode.

    Args:
        network: returns logits; its mode is restored.
        inputs: [1, channels, height, width], not constant, or texts [rows, arguments, length]; of any other shape only
            `pooled` is found.
        num_classes: width of the logits.
        is_text: whether they are texts.

    Raises:
        UsageError: when it returns no logits.
    """
    calls = _record(network, inputs, length=inputs.shape[2] if is_text else None)
    tree = _Tree(network, calls, _classifier(calls, dict(network.named_modules()), num_classes))
    stem, candidates = _split_stem(tree, tree.leaves())
    blocks = _choose_blocks(tree, candidates)
    if len(blocks) < 2:
        opened = _choose_blocks(tree, _split_stem(tree, tree.leaves(one_resolution=True))[1], one_resolution=True)
        blocks = opened if len(opened) > len(blocks) else blocks
    feature_paths = {} if stem is None else {"stem": stem.path + stem.suffixes}
    preactivation_paths = {}
    for number, block in enumerate(blocks, start=1):
        feature_paths[f"block{number}"] = block.path + block.suffixes
        if (path := tree.preactivation_path(block)) is not None:
            preactivation_paths[f"block{number}_preact"] = path
    if tree.classifier is not None and isinstance(tree.classifier.input, Tensor):
        feature_paths["pooled"] = f"{tree.classifier.path}:input{':mean' if tree.classifier.input.ndim > 2 else ''}"
    return Stages(feature_paths, preactivation_paths, any(block.is_tokens for block in blocks))


def _record(network: nn.Module, inputs: Tensor, length: int | None) -> dict[str, _Call]:
    calls: dict[str, _Call] = {}
    image = (inputs.shape[2], inputs.shape[3]) if inputs.ndim == 4 else (0, 0)
    maps: list[_Size] = []
    order = itertools.count()

    def record(path: str, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        argument = args[0] if args else None
        is_several = isinstance(output, tuple | list) and len(output) > 0
        value = output[0] if is_several else output  # type: ignore[index]
        size, layout = _layout(value, image)
        is_tokens = isinstance(value, Tensor) and value.ndim == 3
        if isinstance(value, Tensor) and is_tokens and (size := _grid(value.shape[1], maps, length)) is not None:
            layout = f":{size[0]}x{size[1]}"
        elif size is not None:
            maps.append(size)
        suffixes = (":0" if is_several else "") + layout
        calls.pop(path, None)  # of several calls the last one counts
        calls[path] = _Call(path, next(order), _layout(argument, image)[0], size, suffixes, is_tokens, value, argument)

    modules = list(network.named_modules())
    handles = [module.register_forward_hook(partial(record, path)) for path, module in modules]
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
    """Return the height and width of a map, recognised by the image's proportions, and the suffix of its layout."""
    if not isinstance(value, Tensor) or value.ndim != 4 or not image[0]:
        return None, ""
    _, first, second, third = value.shape
    for size, suffix in (((second, third), ""), ((first, second), ":channels_last")):
        if abs(size[0] * image[1] - size[1] * image[0]) <= (max(image) if image[0] != image[1] else 0):
            return size, suffix
    return None, ""


def _grid(tokens: int, maps: list[_Size], length: int | None) -> _Size | None:
    """Return the grid of tokens: of a text a column, else the size of the last map that fits, else a square."""
    if length is not None:
        return (length, 1) if tokens == length else None
    for height, width in reversed(maps):
        if 0 <= tokens - height * width <= MOST_PREFIX_TOKENS:
            return height, width
    side = math.isqrt(tokens)
    return (side, side) if side * side == tokens else None


def _classifier(calls: Mapping[str, _Call], modules: Mapping[str, nn.Module], num_classes: int) -> _Call | None:
    """Return the call of the last layer with one output a class."""
    classifier = None
    for path, call in calls.items():
        layer = modules[path]
        width = (
            layer.out_features
            if isinstance(layer, nn.Linear)
            else layer.out_channels
            if isinstance(layer, nn.Conv2d)
            else 0
        )
        classifier = call if width == num_classes else classifier
    return classifier


class _Tree:
    """The calls of a network's modules, as the tree of modules."""

    def __init__(self, network: nn.Module, calls: Mapping[str, _Call], classifier: _Call | None) -> None:
        self._modules = dict(network.named_modules())
        self._calls = calls
        self.classifier = classifier

    def leaves(self, *, one_resolution: bool = False) -> list[_Call]:
        """Return what need not be opened further, in order; `one_resolution`: sequences at one are opened too."""
        end = math.inf if self.classifier is None else self.classifier.order
        leaves = sorted(self._leaves("", one_resolution=one_resolution), key=lambda call: call.order)
        return [call for call in leaves if call.order < end and self._counts(call)]

    def is_deep(self, call: _Call) -> bool:
        """Say whether a module holds at least two layers with weights."""
        layers = self._modules[call.path].modules()
        return sum(any(weight.ndim > 1 for weight in layer.parameters(recurse=False)) for layer in layers) > 1

    def is_in_sequence(self, call: _Call) -> bool:
        """Say whether a module is one of a sequence of modules of its type."""
        parent, _, _ = call.path.rpartition(".")
        own_type = type(self._modules[call.path])
        alike = sum(type(child) is own_type for child in self._modules[parent].children())
        return self.is_deep(call) and (alike > 1 or isinstance(self._modules[parent], _SEQUENCES))

    def preactivation_path(self, call: _Call) -> str | None:
        """Return the path of a block's map before its last activation; its own path where it ends in none."""
        inner = [each for path, each in self._calls.items() if f"{path}.".startswith(f"{call.path}.")]
        for each in reversed(inner):
            if isinstance(self._modules[each.path], _ACTIVATIONS) and each.output is call.output:
                return f"{each.path}:input{call.suffixes}"
        is_rectified = isinstance(call.output, Tensor) and bool((call.output >= 0).all())
        return None if is_rectified else call.path + call.suffixes

    def _counts(self, call: _Call) -> bool:
        module = self._modules[call.path]
        return isinstance(module, _ACTIVATIONS) or next(module.parameters(), None) is not None

    def _leaves(self, path: str, *, one_resolution: bool) -> Iterator[_Call]:
        call, children = self._calls.get(path), list(self._called_below(path))
        if call is None or (children and self._is_opened(call, one_resolution=one_resolution)):
            for child in children:
                yield from self._leaves(child, one_resolution=one_resolution)
        elif call.size is not None:
            yield call

    def _is_opened(self, call: _Call, *, one_resolution: bool) -> bool:
        if call.size is None:
            return True
        if self.classifier is not None and f"{self.classifier.path}.".startswith(f"{call.path}." if call.path else ""):
            return True
        if call.is_tokens:
            return not self.is_in_sequence(call)
        if one_resolution and isinstance(self._modules[call.path], _SEQUENCES):
            return True
        return call.input_size is None or any(
            2 * out + 1 < side for out, side in zip(call.size, call.input_size, strict=True)
        )

    def _called_below(self, path: str) -> Iterator[str]:
        """Yield the nearest called modules below one: a ModuleList itself is not called."""
        for name, _ in self._modules[path].named_children():
            child = f"{path}.{name}" if path else name
            if child in self._calls:
                yield child
            elif child in self._modules:
                yield from self._called_below(child)


def _split_stem(tree: _Tree, leaves: list[_Call]) -> tuple[_Call | None, list[_Call]]:
    """Return the stem, and the candidates for blocks: modules of several layers where there are any, else all."""
    deep = [leaf for leaf in leaves if tree.is_deep(leaf)]
    if not deep:
        return None, leaves
    first = deep[0]
    beside = [leaf for leaf in leaves if leaf.size == first.size and not leaf.is_tokens]
    if not first.is_tokens and not tree.is_deep(beside[-1]) and len({leaf.size for leaf in deep}) > 1:
        stem = beside[-1]  # of several convolutions, and what follows them
        return stem, [leaf for leaf in deep if leaf.order > stem.order]
    before = [leaf for leaf in leaves if leaf.order < first.order and not leaf.is_tokens]
    return (before[-1] if before else None), deep


def _choose_blocks(tree: _Tree, candidates: list[_Call], *, one_resolution: bool = False) -> list[_Call]:
    """Return the blocks among the candidates."""
    groups: dict[tuple[_Size | None, bool], list[_Call]] = {}
    for call in candidates:
        if not call.is_tokens or tree.is_in_sequence(call):
            groups.setdefault((call.size, call.is_tokens), []).append(call)
    if len(groups) > 1:
        groups = {key: calls for key, calls in groups.items() if key[0] != (1, 1)}  # after the pooling
    if one_resolution and len(groups) > 1:
        return []
    chosen = []
    for (_, is_tokens), calls in groups.items():
        if is_tokens or one_resolution:
            count = min(_MOST_BLOCKS_OF_A_SEQUENCE, len(calls))
            chosen += [calls[(number + 1) * len(calls) // count - 1] for number in range(count)]
        else:
            chosen.append(calls[-1])
    return sorted(chosen, key=lambda call: call.order)
