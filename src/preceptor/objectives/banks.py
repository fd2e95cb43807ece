"""Memories of what networks said of each training sample, and an order of all samples that is new at every step."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from preceptor.data.views import draws

__all__ = ["fresh_order", "remember"]

_NEGATIVES = 7  # the stream of random numbers


def remember(
    bank: Float[Tensor, "samples dim"],
    index: Int[Tensor, " batch"],
    embedding: Float[Tensor, "batch dim"],
    momentum: float,
) -> None:
    """Move the bank's rows towards new embeddings, back to length 1, in place; a row given twice must come twice the same."""
    mixed = momentum * bank[index] + (1 - momentum) * embedding.detach().to(bank.dtype)
    bank.index_copy_(0, index, functional.normalize(mixed))


def fresh_order(num_samples: int, seed: int, step: Int[Tensor, " 1"]) -> Int[Tensor, " samples"]:
    """Return an order of all samples, a pure function of the seed and the step: the same on every process, after any resume."""
    rows = torch.arange(num_samples, device=step.device)
    return draws(seed, 0, rows + step * num_samples, stream=_NEGATIVES)[:, 0].argsort(stable=True)
