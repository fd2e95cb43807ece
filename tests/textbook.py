"""Layers computed from a state dict alone, for checking networks against their description."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Weights:
    """The weights of a network by name, and the layers that read them."""

    def __init__(self, network: nn.Module) -> None:
        self.state = network.state_dict()

    def conv(self, name: str, inputs: Tensor, *, stride: int = 1, groups: int = 1) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return functional.conv2d(inputs, weight, bias, stride, weight.shape[-1] // 2, groups=groups)

    def norm(self, name: str, inputs: Tensor) -> Tensor:
        column = {key: self.state[f"{name}.{key}"].reshape(-1, 1, 1) for key in ("weight", "bias")}
        mean, variance = (self.state[f"{name}.running_{key}"].reshape(-1, 1, 1) for key in ("mean", "var"))
        out: Tensor = (inputs - mean) / (variance + 1e-5).sqrt() * column["weight"] + column["bias"]
        return out

    def linear(self, name: str, inputs: Tensor) -> Tensor:
        out: Tensor = inputs @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]
        return out

    def has(self, name: str) -> bool:
        return f"{name}.weight" in self.state


def randomise(network: nn.Module) -> Weights:
    """Put numbers into norms and biases that a network trained for a while might have; the network goes to eval."""
    generator = torch.Generator().manual_seed(0)
    for tensor in network.eval().state_dict().values():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5, generator=generator)
            if not tensor.numel() % 2:
                tensor[::2] -= 0.25
    return Weights(network)


def shuffle(maps: Tensor, groups: int) -> Tensor:
    """Channel j of the result is the (j // groups)-th channel of group j % groups."""
    each = maps.shape[1] // groups
    return maps[:, [(j % groups) * each + j // groups for j in range(maps.shape[1])]]
