"""Numbers that a step needs as a tensor, on its device."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

__all__ = ["constant"]


@cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return numbers as a tensor that nobody may change: copied to the device once, because the host waits for each copy.

    Example:
        >>> constant((0.5, 2.0), torch.device("cpu"))
        tensor([0.5000, 2.0000])
    """
    with torch.inference_mode(mode=False):  # or no later backward pass could save it
        return torch.tensor(values, device=device, dtype=dtype)
