"""A network whose outputs are put into the order of the data's classes, or of which some are selected."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.models.adapters.network_wrapper import NetworkWrapper
from preceptor.models.features.observed import logits_of

__all__ = ["SelectedClasses"]


class SelectedClasses(NetworkWrapper):
    """A network of which some logits are returned, in another order.

    Args:
        network: any network that returns logits; one output is read as the two logits (0, z).
        order: the number of its output for each class.
        num_outputs: of the network.
        note: what was selected, and why.

    Examples:
        >>> SelectedClasses(nn.Identity(), [2, 0], 3)(torch.tensor([[5.0, 6.0, 7.0]]))
        tensor([[7., 5.]])
    """

    order: Tensor

    def __init__(self, network: nn.Module, order: Sequence[int], num_outputs: int, note: str = "") -> None:
        super().__init__(network, note)
        self.num_outputs = num_outputs
        self.register_buffer("order", torch.tensor(list(order)))  # so that it counts in the fingerprint

    def forward(self, inputs: Tensor) -> Tensor:
        logits = logits_of(self.network(inputs), self.network)
        if logits.shape[1] == 1:
            logits = functional.pad(logits, (1, 0))
        return logits[:, self.order]
