"""Tensors of which each process holds a part (PyTorch's DTensor), as FSDP2 makes of a network's weights."""

from __future__ import annotations

import sys

from torch import Tensor

__all__ = ["is_sharded", "whole"]


def is_sharded(tensor: Tensor) -> bool:
    """Return whether this process holds a part of a tensor only."""
    module = sys.modules.get("torch.distributed.tensor")  # slow to import, and without it no such tensor exists
    return module is not None and isinstance(tensor, module.DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor, gathered where it is parted, by all processes together; gradients flow back into the part.

    Example:
        >>> import torch
        >>> values = torch.arange(3)
        >>> whole(values) is values
        True
    """
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined, no-any-return]
