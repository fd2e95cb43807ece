"""Student wrappers as keys of a model section: a network is put into the one that its keys state, and made again from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from preceptor.errors import UsageError
from preceptor.models.adapters.expanded_map import ExpandedMap, ExpandSpec
from preceptor.models.adapters.reused_classifier import ReusedClassifier, ReuseSpec
from preceptor.signature import check_hyperparameters

__all__ = ["without_wrappers", "wrap_as_stated"]

_METHODS = {"reused_classifier": "simkd", "expanded_map": "norm"}  # that write these keys of a model section


def wrap_as_stated(network: nn.Module, options: Mapping[str, Any]) -> nn.Module:
    """Return a network in the student wrapper that the keys of its model section state; one that is in it already as it is.

    Args:
        network: the backbone.
        options: further keys of the model section.

    Raises:
        UsageError: for malformed keys of a wrapper, or a feature or module that the network does not have.
    """
    if isinstance(network, ReusedClassifier | ExpandedMap):
        return network
    if (stated := options.get("reused_classifier")) is not None:
        spec = ReuseSpec(**_checked(ReuseSpec, stated, "reused_classifier"))
        _check_sizes("reused_classifier", stated, (*_numbers(spec), *spec.teacher_size))
        return ReusedClassifier(network, spec)
    if (stated := options.get("expanded_map")) is not None:
        expand = ExpandSpec(**_checked(ExpandSpec, stated, "expanded_map"))
        _check_sizes("expanded_map", stated, (expand.channels, expand.wide))
        return ExpandedMap(network, expand)
    return network


def without_wrappers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a model section that are the network's own."""
    return {key: value for key, value in options.items() if key not in _METHODS}


def _checked(kind: type[Any], stated: object, key: str) -> dict[str, Any]:
    where = f"model.{key}"
    if not isinstance(stated, Mapping):
        raise UsageError(f"{where}: {stated!r} is no mapping; method {_METHODS[key]} writes it")
    return check_hyperparameters(kind, stated, where)


def _numbers(spec: ReuseSpec) -> tuple[int, ...]:
    return spec.channels, spec.teacher_channels, spec.num_classes, spec.bottleneck


def _check_sizes(key: str, stated: Mapping[str, Any], sizes: tuple[int, ...]) -> None:
    if min(sizes) < 1:
        raise UsageError(f"model.{key}: its sizes are at least 1, got {dict(stated)}")
