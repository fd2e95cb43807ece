"""A teacher that is no PyTorch module, as one that returns logits and has neither weights nor features."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

__all__ = ["BlackBox", "black_box_in"]


class BlackBox(nn.Module, ABC):
    """Something that returns logits.

    Args:
        name: what it is, in a few words, for messages.
        bytes: of its file; 0: it has none.
        sha256: of its file; empty: it is known by what it returns, see `recognise`.
    """

    digest: Tensor

    def __init__(self, name: str, bytes: int = 0, sha256: str = "") -> None:  # noqa: A002
        super().__init__()
        self.name = name
        self.bytes = bytes
        self.register_buffer("digest", torch.zeros(32, dtype=torch.uint8))  # so that it counts in the fingerprint
        if sha256:
            self.recognise(sha256)

    @property
    def device(self) -> torch.device:
        """Where its inputs are."""
        return self.digest.device

    def recognise(self, sha256: str) -> None:
        """Take 64 hexadecimal digits as what tells it from others."""
        self.digest.copy_(torch.tensor(list(bytes.fromhex(sha256)), dtype=torch.uint8))

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [batch, classes], on the device of the inputs."""


def black_box_in(network: nn.Module) -> BlackBox | None:
    """Return the black box that a network is, perhaps behind an adapter of its inputs; None: it is a PyTorch module."""
    return next((each for each in network.modules() if isinstance(each, BlackBox)), None)
