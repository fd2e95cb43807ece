"""Memory banks: one row per training sample, all entries or the largest, and a random order of the samples at every step."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from preceptor.data.augment.views import random_bits
from preceptor.errors import UsageError

__all__ = ["class_type", "empty_bank", "fresh_order", "keep_largest", "remember", "spread_out"]

_NEGATIVES = 7  # the stream of random numbers


def empty_bank(num_samples: int, width: int, device: torch.device, advice: str) -> Float[Tensor, "samples width"]:
    """Return a bank of zeros, 4 bytes per entry.

    Raises:
        UsageError: when the device has too little memory; `advice` says how to need less.
    """
    try:
        return torch.zeros(num_samples, width, device=device)
    except RuntimeError as error:
        room = f"{4 * num_samples * width / 1e9:,.0f} GB on {device}"
        raise UsageError(f"no room for a bank of {num_samples:,} x {width:,}, {room}; {advice}") from error


def remember(
    bank: Float[Tensor, "samples dim"],
    index: Int[Tensor, " batch"],
    embedding: Float[Tensor, "batch dim"],
    momentum: float,
) -> None:
    """Move the bank's rows towards new embeddings, back to length 1, in place; rows with equal index must be equal."""
    mixed = momentum * bank[index] + (1 - momentum) * embedding.detach().to(bank.dtype)
    bank.index_copy_(0, index, functional.normalize(mixed))


def fresh_order(num_samples: int, seed: int, step: Int[Tensor, " 1"]) -> Int[Tensor, " samples"]:
    """Return a random order of all samples, a pure function of seed and step: equal in every process, after any resume."""
    rows = torch.arange(num_samples, device=step.device)
    return random_bits(seed, 0, rows + step * num_samples, stream=_NEGATIVES)[:, 0].argsort(stable=True)


def class_type(num_classes: int) -> torch.dtype:
    """Return the smallest type that numbers so many classes and can be an index once it is widened."""
    return torch.int16 if num_classes <= 2**15 else torch.int32


def keep_largest(
    rows: Float[Tensor, "batch classes"], top: int
) -> tuple[Float[Tensor, "batch top"], Int[Tensor, "batch top"]]:
    """Return the `top` largest entries of each row, largest first, and their classes, as small as can be."""
    values, classes = rows.topk(top, dim=1)
    return values, classes.to(class_type(rows.shape[1]))


def spread_out(
    values: Float[Tensor, "batch top"],
    classes: Int[Tensor, "batch top"],
    total: Float[Tensor, " batch"],
    num_classes: int,
) -> Float[Tensor, "batch classes"]:
    """Return full rows: the values at their classes, and the rest of each row's total spread evenly over the other classes.

    Examples:
        >>> values, classes = keep_largest(torch.tensor([[0.6, 0.05, 0.2, 0.15]]), 2)
        >>> spread_out(values, classes, torch.ones(1), 4)
        tensor([[0.6000, 0.1000, 0.2000, 0.1000]])
    """
    rest = (total - values.sum(1)).clamp_min(0) / max(num_classes - values.shape[1], 1)
    return rest[:, None].repeat(1, num_classes).scatter(1, classes.long(), values)
