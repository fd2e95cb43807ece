"""A student fed in the middle: behind one of its blocks it runs on another network's map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.models import logits_of

__all__ = ["StudentBranch"]

_PROBED = 2  # rows that run through the layers before the block


class StudentBranch(nn.Module):
    """A network whose block gives, instead of its own map, another network's through a 1x1 convolution and batch-norm.

    Args:
        network: any that returns logits.
        path: of the module whose output is replaced.
        shape: [channels, height, width] of that output.
        channels: of the other network's map.
    """

    def __init__(self, network: nn.Module, path: str, shape: Sequence[int], channels: int) -> None:
        super().__init__()
        self.connector = nn.Sequential(nn.Conv2d(channels, shape[0], 1, bias=False), nn.BatchNorm2d(shape[0]))
        self.network = network
        self._size = (shape[1], shape[2])
        self._entering: list[Tensor] = []
        network.get_submodule(path).register_forward_hook(self._enter)

    def forward(self, entering: Tensor, inputs: Tensor) -> Tensor:
        """Return the logits [batch, classes]; of the inputs, two rows run through the layers before the block.

        Args:
            entering: the other network's map [batch, channels, height, width].
            inputs: of the batch.
        """
        sized = functional.adaptive_avg_pool2d(promote(entering), self._size)
        self._entering.append(self.connector(sized))
        dtype = next(self.network.parameters()).dtype
        logits = logits_of(self.network(inputs[:_PROBED].to(dtype)), self.network)
        return functional.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits

    def freeze_before(self, entering: Tensor, inputs: Tensor) -> StudentBranch:
        """Freeze the layers that the map does not pass, and return this branch."""
        self.eval()
        with torch.enable_grad():
            self(entering.detach(), inputs).sum().backward()
        for parameter in self.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None
        return self.train()

    def _enter(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return self._entering.pop()
