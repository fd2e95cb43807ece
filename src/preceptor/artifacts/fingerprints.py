"""What tells one network from another."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from preceptor.distributed.dtensors import full_tensor
from preceptor.models.state_dicts import without_wrappers

__all__ = ["fingerprint"]


def fingerprint(network: nn.Module) -> str:
    """Return the first 16 hexadecimal digits of the sha256 over a network's weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(without_wrappers(name).encode())
        values = full_tensor(tensor.detach()).cpu().contiguous().flatten()
        digest.update(values.view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
    return digest.hexdigest()[:16]
