"""Shared maths on tensors: everything in log space and in float32 or better, whatever the networks computed in."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

__all__ = ["kl", "log_soften", "promote"]


def promote(values: Shaped[Tensor, ...]) -> Shaped[Tensor, ...]:
    """Return half precision as float32; float32 and float64 as they are."""
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values


def log_soften(logits: Float[Tensor, "*rows classes"], temperature: float = 1.0) -> Float[Tensor, "*rows classes"]:
    """Return log softmax(logits / temperature) along the last axis, in float32 or better."""
    return torch.log_softmax(promote(logits) / temperature, dim=-1)


def kl(log_target: Float[Tensor, "*rows classes"], log_given: Float[Tensor, "*rows classes"]) -> Float[Tensor, "*rows"]:
    """Return KL(target || given) of each row in nats, from log-probabilities; a target of 0 contributes 0.

    Example:
        >>> half, quarter = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
        >>> round(kl(half, quarter).item(), 6)
        0.143841
    """
    return (log_target.exp() * (log_target - log_given)).sum(-1)
