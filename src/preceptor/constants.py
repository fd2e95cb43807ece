"""Numbers that a step needs as a tensor, on its device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

__all__ = ["constant"]

_KNOWN: dict[tuple[tuple[float, ...], torch.device, torch.dtype], Tensor] = {}


def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return numbers as a tensor that nobody may change: copied to the device once, because the host waits for each copy.

    While a network is compiled or exported they are made anew: what is traced must not outlive its trace.

    Examples:
        >>> constant((0.5, 2.0), torch.device("cpu"))
        tensor([0.5000, 2.0000])
    """
    if torch.compiler.is_compiling():
        return torch.tensor(values, device=device, dtype=dtype)
    key = (values, device, dtype)
    if key in _KNOWN:
        return _KNOWN[key]
    with torch.inference_mode(mode=False):  # or no later backward pass could save it
        made = torch.tensor(values, device=device, dtype=dtype)
    if not isinstance(made, FakeTensor):
        _KNOWN[key] = made
    return made
