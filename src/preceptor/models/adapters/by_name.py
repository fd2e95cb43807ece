"""Networks by name, of the zoo or of another library: the prefix says which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from preceptor.errors import UsageError
from preceptor.models.adapters import by_path, hf_models, timm_models, torchvision_models
from preceptor.models.adapters.input_adapter import DataSpec
from preceptor.models.adapters.wrappers import without_wrappers, wrap_as_stated
from preceptor.models.registry import PREFIXES, ZOO
from preceptor.models.zoo.create import checked_options, create

__all__ = ["check_name", "make"]


class _Make(Protocol):
    def __call__(
        self, name: str, data_spec: DataSpec, options: Mapping[str, Any], *, loads_weights: bool
    ) -> nn.Module: ...


_LIBRARIES: dict[str, _Make] = {
    "timm": timm_models.make,
    "torchvision": torchvision_models.make,
    "hf": hf_models.make,
}


def make(
    name: str, data_spec: DataSpec, options: Mapping[str, Any] | None = None, *, loads_weights: bool = False
) -> nn.Module:
    """Return a new network that reads these samples and returns logits [batch, classes].

    Args:
        name: of the zoo, or with one of `PREFIXES`.
        data_spec: what it will be given.
        options: further keys of the model section; those of a student wrapper put the network into it.
        loads_weights: whether weights will be loaded into it; it then does not load its own.

    Raises:
        UsageError: for an unknown name or option, a missing library, or samples that it cannot read.

    Examples:
        >>> import torch
        >>> make("convnet_s", DataSpec(10, (1, 8, 8)))(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    options = options or {}
    network = _make(name, data_spec, without_wrappers(options), loads_weights=loads_weights)
    return wrap_as_stated(network, options)


def check_name(name: str, options: Mapping[str, Any]) -> None:
    """Check a network's name and keys as far as that goes without making it: those of the zoo, and the form of the others.

    Raises:
        UsageError: for an unknown name or option of the zoo, or a prefix alone.
    """
    kind, colon, rest = name.partition(":")
    if not colon:
        checked_options(name, without_wrappers(options))
    elif not kind or not rest:
        raise UsageError(_nameless(name))


def _make(name: str, data_spec: DataSpec, options: Mapping[str, Any], *, loads_weights: bool) -> nn.Module:
    kind, colon, rest = name.partition(":")
    if not colon and name in ZOO and data_spec.vocabulary is not None:
        raise UsageError(
            f"model: {name} cannot read texts, whose tokens are numbers without an order; hf:FOLDER or PKG.MODULE:FACTORY can"
        )
    if not colon:
        return create(name, num_classes=data_spec.num_classes, input_shape=data_spec.shape, options=options)
    if not kind or not rest:
        raise UsageError(_nameless(name))
    if kind in _LIBRARIES:
        return _LIBRARIES[kind](rest, data_spec, options, loads_weights=loads_weights)
    return by_path.make(name, data_spec, options, loads_weights=loads_weights)


def _nameless(name: str) -> str:
    return f"model: {name!r} names no network; there are {', '.join(PREFIXES)}"
