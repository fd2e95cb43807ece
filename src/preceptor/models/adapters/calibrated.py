"""A network whose logits are divided by a temperature that was fitted after training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.models.adapters.network_wrapper import NetworkWrapper
from preceptor.models.features.observed import logits_of

__all__ = ["Calibrated"]


class Calibrated(NetworkWrapper):
    """A network whose logits are divided by a temperature; which class is largest does not change.

    Args:
        network: any network that returns logits.
        temperature: above 0.
        note: how the temperature was found.

    Examples:
        >>> Calibrated(nn.Identity(), 2.0)(torch.tensor([[5.0, 6.0]]))
        tensor([[2.5000, 3.0000]])
    """

    temperature: Tensor

    def __init__(self, network: nn.Module, temperature: float, note: str = "") -> None:
        super().__init__(network, note)
        self.register_buffer("temperature", torch.tensor(temperature))  # so that it counts in the fingerprint

    def forward(self, inputs: Tensor) -> Tensor:
        return logits_of(self.network(inputs), self.network) / self.temperature
