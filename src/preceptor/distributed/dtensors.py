"""Sharded tensors (PyTorch's DTensor), as FSDP2 makes of a network's weights."""

from __future__ import annotations

import sys

from torch import Tensor

__all__ = ["full_tensor", "is_sharded"]


def is_sharded(tensor: Tensor) -> bool:
    """Return whether this process holds only a shard of a tensor."""
    module = sys.modules.get("torch.distributed.tensor")  # slow to import, and without it no such tensor exists
    return module is not None and isinstance(tensor, module.DTensor)


def full_tensor(tensor: Tensor) -> Tensor:
    """Return the full tensor, gathered if it is sharded (every process must call this); gradients flow back to the shard.

    Examples:
        >>> import torch
        >>> values = torch.arange(3)
        >>> full_tensor(values) is values
        True
    """
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined, no-any-return]
