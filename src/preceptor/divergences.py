"""Shared maths on tensors: everything in log space and in float32 or better, whatever the networks computed in."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional

__all__ = ["kl", "left_singular", "log_soften", "one_vs_rest", "other_classes", "promote", "soft_kl", "targets"]


def promote(values: Shaped[Tensor, ...]) -> Shaped[Tensor, ...]:
    """Return half precision as float32; float32 and float64 as they are."""
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values


def log_soften(
    logits: Float[Tensor, "*rows classes"], temperature: float | Tensor = 1.0
) -> Float[Tensor, "*rows classes"]:
    """Return log softmax(logits / temperature) along the last axis, in float32 or better."""
    return torch.log_softmax(promote(logits) / temperature, dim=-1)


def kl(
    log_target: Float[Tensor, "*rows classes"], log_prediction: Float[Tensor, "*rows classes"]
) -> Float[Tensor, "*rows"]:
    """Return KL(target || prediction) of each row in nats, from log-probabilities; a target of 0 contributes 0.

    Raises:
        ValueError: for shapes that differ: broadcasting would silently compare the wrong rows.

    Example:
        >>> half, quarter = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
        >>> round(kl(half, quarter).item(), 6)
        0.143841
    """
    if log_target.shape != log_prediction.shape:
        raise ValueError(
            f"log_target and log_prediction: shapes {tuple(log_target.shape)} and {tuple(log_prediction.shape)} differ"
        )
    ratio = torch.where(log_target == -math.inf, 0.0, log_target - log_prediction)  # 0 log 0 is 0, in the gradient too
    return (log_target.exp() * ratio).sum(-1)


def soft_kl(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    temperature: float | Tensor = 1.0,
) -> Float[Tensor, "*rows"]:
    """Return temperature^2 KL(p_T || p_S) of each row in nats, both softmaxes at the temperature; teacher constant."""
    log_teacher = log_soften(teacher_logits.detach(), temperature)
    return temperature**2 * kl(log_teacher, log_soften(student_logits, temperature))


def other_classes(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, "batch others"]:
    """Return the columns of the classes other than each row's label, in order: gathered, not masked.

    Example:
        >>> other_classes(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1]))
        tensor([[1., 3.]])
    """
    columns = torch.arange(logits.shape[1] - 1, device=labels.device).expand(len(labels), -1)
    return logits.gather(1, columns + (columns >= labels[:, None]))


def targets(
    labels: Int[Tensor, " batch"] | Float[Tensor, "batch classes"], num_classes: int
) -> Float[Tensor, "batch classes"]:
    """Return each row's target distribution: one-hot for a class, the distribution itself where it is one.

    Example:
        >>> targets(torch.tensor([1]), 3)
        tensor([[0., 1., 0.]])
    """
    return promote(labels) if labels.is_floating_point() else functional.one_hot(labels, num_classes).float()


def one_vs_rest(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "rows 2"]:
    """Return each log-odds z as a row of two logits (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z)), in order.

    Example:
        >>> one_vs_rest(torch.tensor([[1.0, 2.0]]))
        tensor([[0., 1.],
                [0., 2.]])
    """
    return functional.pad(logits.reshape(-1, 1), (1, 0))


def left_singular(
    matrix: Float[Tensor, "rows columns"], start: Float[Tensor, " rows"] | None = None, *, iterations: int = 15
) -> Float[Tensor, " rows"]:
    """Return an estimate of the first left singular vector, of length 1, by power iteration outside autocast.

    Args:
        matrix: float32 or float64, as many rows as the vector has entries.
        start: where to continue from; None for a fixed vector without symmetry, to which none is likely to be orthogonal.
        iterations: products with matrix matrix^T.

    Example:
        >>> left_singular(torch.tensor([[3.0, 0.0], [0.0, 1.0]])).abs().round(decimals=6)
        tensor([1., 0.])
    """
    with torch.autocast(matrix.device.type, enabled=False):
        left = torch.arange(1, len(matrix) + 1, device=matrix.device).cos().to(matrix) if start is None else start
        for _ in range(iterations):
            left = functional.normalize(matrix @ (matrix.T @ left), dim=0)
    return left
