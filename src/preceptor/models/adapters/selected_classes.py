"""A network whose outputs are put into the order of the data's classes, or of which some are selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.models.features.observed import FeatureNetwork, logits_of

__all__ = ["SelectedClasses"]

_NETWORK = "network"


class SelectedClasses(FeatureNetwork):
    """A network of which some logits are returned, in another order; its features stay as they are.

    Args:
        network: any network that returns logits; one output is read as the two logits (0, z).
        order: the number of its output for each class.
        num_outputs: of the network.
        note: what was selected, and why.

    Example:
        >>> SelectedClasses(nn.Identity(), [2, 0], 3)(torch.tensor([[5.0, 6.0, 7.0]]))
        tensor([[7., 5.]])
    """

    order: Tensor

    def __init__(self, network: nn.Module, order: Sequence[int], num_outputs: int, note: str = "") -> None:
        super().__init__()
        self.network = network
        self.num_outputs = num_outputs
        self._note = note
        self.register_buffer("order", torch.tensor(list(order)))  # so that it counts in the fingerprint

    def forward(self, inputs: Tensor) -> Tensor:
        logits = logits_of(self.network(inputs), self.network)
        if logits.shape[1] == 1:
            logits = functional.pad(logits, (1, 0))
        return logits[:, self.order]

    @property
    def inner(self) -> FeatureNetwork | None:
        """The network, where it names its features."""
        return self.network if isinstance(self.network, FeatureNetwork) else None

    @property
    def note(self) -> str:
        """What was selected."""
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
