"""A network whose dropout stays on after training: each forward pass is a sample of Monte-Carlo dropout."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from preceptor.errors import UsageError
from preceptor.models.adapters.network_wrapper import NetworkWrapper
from preceptor.models.features.observed import logits_of

__all__ = ["DropoutOn"]


class DropoutOn(NetworkWrapper):
    """A network with dropout in evaluation mode, too; everything else, batch-norm for one, follows the mode.

    Source: Gal, Ghahramani, "Dropout as a Bayesian Approximation" (ICML 2016).

    Args:
        network: any network that returns logits.
        passes: how many make a prediction.

    Raises:
        UsageError: when it has no dropout layer with a rate above 0.

    Examples:
        >>> network = DropoutOn(nn.Sequential(nn.Dropout(0.5), nn.Linear(100, 2))).eval()
        >>> bool((network(torch.ones(1, 100)) == network(torch.ones(1, 100))).all())
        False
    """

    passes: Tensor

    def __init__(self, network: nn.Module, passes: int = 10) -> None:
        super().__init__(network, f"dropout stays on, {passes} passes are averaged")
        self.register_buffer("passes", torch.tensor(passes))  # so that it counts in the fingerprint
        if not self._layers():
            raise UsageError(
                f"teacher.posterior: dropout needs a network with dropout, and {type(network).__name__} has none"
            )

    def train(self, mode: bool = True) -> DropoutOn:
        """Set the mode of every layer but dropout, which is always on."""
        super().train(mode)
        for layer in self._layers():
            layer.train()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        return logits_of(self.network(inputs), self.network)

    def _layers(self) -> list[_DropoutNd]:
        return [layer for layer in self.network.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]
