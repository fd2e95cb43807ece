"""What wrappers around a trained network share: its features, paths and options, reached through the wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from preceptor.models.features.observed import FeatureNetwork

__all__ = ["NetworkWrapper"]

_NETWORK = "network"


class NetworkWrapper(FeatureNetwork):
    """A network whose logits are changed; its features stay as they are.

    Args:
        network: any network that returns logits.
        note: what is changed, and why.
    """

    def __init__(self, network: nn.Module, note: str = "") -> None:
        super().__init__()
        self.network = network
        self._note = note

    @property
    def inner(self) -> FeatureNetwork | None:
        """The network, where it names its features."""
        return self.network if isinstance(self.network, FeatureNetwork) else None

    @property
    def note(self) -> str:
        """What is changed."""
        return self._note

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """The network's."""
        named = {} if self.inner is None else self.inner.feature_paths
        return {name: f"{_NETWORK}.{path}" for name, path in named.items()}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """The network's."""
        named = {} if self.inner is None else self.inner.preactivation_paths
        return {name: f"{_NETWORK}.{path}" for name, path in named.items()}

    @property
    def works_in_place(self) -> bool:
        """Whether the network does, or does not promise otherwise."""
        return self.inner is None or self.inner.works_in_place

    @property
    def path_prefix(self) -> str:
        """Dotted paths are those of the network."""
        prefix = "" if self.inner is None else self.inner.path_prefix
        return f"{_NETWORK}.{prefix}" if prefix else _NETWORK

    @property
    def token_grid(self) -> str:
        """The network's."""
        return "" if self.inner is None else self.inner.token_grid

    @property
    def options(self) -> Mapping[str, Any]:
        """The network's."""
        return {} if self.inner is None else self.inner.options
