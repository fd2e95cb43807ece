"""Shared maths on tensors: everything in log space and in float32 or better, whatever the networks computed in."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional

__all__ = [
    "LEAST_PROBABILITY",
    "alpha_beta",
    "as_logits",
    "decoupled_kl",
    "hellinger",
    "jensen_shannon",
    "kl",
    "left_singular",
    "log_mean",
    "log_soften",
    "one_vs_rest",
    "other_classes",
    "promote",
    "soft_kl",
    "targets",
    "total_variation",
    "transport_cost",
]

LEAST_PROBABILITY = 1e-12  # of probabilities as logits: zeros and what is below it count as this much
_SMALL = 1e-8  # in the divisors of Sinkhorn's algorithm, as in code whose numbers are published
_LIMIT = 1e-3  # exponents of an alpha-beta divergence below it are 0: the general form cancels there


def promote(values: Shaped[Tensor, ...]) -> Shaped[Tensor, ...]:
    """Return half precision as float32; float32 and float64 as they are."""
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values


def log_soften(
    logits: Float[Tensor, "*rows classes"], temperature: float | Tensor = 1.0
) -> Float[Tensor, "*rows classes"]:
    """Return log softmax(logits / temperature) along the last axis, in float32 or better."""
    return torch.log_softmax(promote(logits) / temperature, dim=-1)


def as_logits(
    probabilities: Float[Tensor, "*rows classes"], *, is_multilabel: bool = False
) -> Float[Tensor, "*rows classes"]:
    """Return logits whose softmax are these probabilities, or whose sigmoid, where each class is present or not.

    A probability below 1e-12 counts as 1e-12, and so does 1 minus a probability.

    Examples:
        >>> as_logits(torch.tensor([0.25, 0.75])).softmax(-1)
        tensor([0.2500, 0.7500])
        >>> as_logits(torch.tensor([0.25, 1.0]), is_multilabel=True).sigmoid()
        tensor([0.2500, 1.0000])
    """
    values = promote(probabilities)
    logits = values.clamp_min(LEAST_PROBABILITY).log()
    return logits - (1 - values).clamp_min(LEAST_PROBABILITY).log() if is_multilabel else logits


def kl(
    log_target: Float[Tensor, "*rows classes"], log_prediction: Float[Tensor, "*rows classes"]
) -> Float[Tensor, "*rows"]:
    """Return KL(target || prediction) of each row in nats, from log-probabilities; a target of 0 contributes 0.

    Raises:
        ValueError: for shapes that differ: broadcasting would silently compare the wrong rows.

    Examples:
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


def jensen_shannon(
    log_target: Float[Tensor, "*rows classes"], log_prediction: Float[Tensor, "*rows classes"]
) -> Float[Tensor, "*rows"]:
    """Return the mean KL of both distributions from their mean, of each row in nats, at most log 2.

    Examples:
        >>> round(jensen_shannon(torch.tensor([1.0, 1e-30]).log(), torch.tensor([1e-30, 1.0]).log()).item(), 6)
        0.693147
    """
    log_mean = torch.logaddexp(log_target, log_prediction) - math.log(2)
    return (kl(log_target, log_mean) + kl(log_prediction, log_mean)) / 2


def hellinger(
    log_target: Float[Tensor, "*rows classes"], log_prediction: Float[Tensor, "*rows classes"]
) -> Float[Tensor, "*rows"]:
    """Return half the squared distance of the roots of both distributions, of each row, at most 1."""
    return ((log_target / 2).exp() - (log_prediction / 2).exp()).square().sum(-1) / 2


def total_variation(
    log_target: Float[Tensor, "*rows classes"], log_prediction: Float[Tensor, "*rows classes"]
) -> Float[Tensor, "*rows"]:
    """Return half the sum of absolute differences of both distributions, of each row, at most 1."""
    return (log_target.exp() - log_prediction.exp()).abs().sum(-1) / 2


def alpha_beta(
    log_target: Float[Tensor, "*rows classes"],
    log_prediction: Float[Tensor, "*rows classes"],
    alpha: float,
    beta: float,
) -> Float[Tensor, "*rows"]:
    """Return the alpha-beta divergence of each row, p the target and q the prediction; 0 where they are equal.

    -1 / (alpha beta) sum [p^alpha q^beta - alpha / (alpha + beta) p^(alpha + beta) - beta / (alpha + beta) q^(alpha + beta)],
    and its limits where an exponent or their sum is 0. (1, 0) is KL(p || q), (0, 1) KL(q || p), (1/2, 1/2) four times the
    Hellinger distance, (0, 0) half the squared distance of log-probabilities.

    Source: Cichocki, Cruces, Amari, "Generalized Alpha-Beta Divergences" (Entropy 2011), equations 18 and 19.

    Examples:
        >>> half, quarter = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
        >>> round(alpha_beta(half, quarter, 1.0, 0.0).item(), 6)
        0.143841
    """
    if abs(alpha) < _LIMIT and abs(beta) < _LIMIT:
        return (log_target - log_prediction).square().sum(-1) / 2
    if abs(alpha + beta) < _LIMIT:
        ratio = alpha * (log_target - log_prediction)
        return (ratio.expm1() - ratio).sum(-1) / alpha**2
    if abs(beta) < _LIMIT:
        return _one_exponent(log_target, log_prediction, alpha)
    if abs(alpha) < _LIMIT:
        return _one_exponent(log_prediction, log_target, beta)
    both = alpha + beta
    mixed = (alpha * log_target + beta * log_prediction).exp()
    alone = (alpha * (both * log_target).exp() + beta * (both * log_prediction).exp()) / both
    return (alone - mixed).sum(-1) / (alpha * beta)


def _one_exponent(log_first: Tensor, log_second: Tensor, exponent: float) -> Tensor:
    first, second = exponent * log_first, exponent * log_second
    return (first.exp() * (first - second - 1) + second.exp()).sum(-1) / exponent**2


def log_mean(
    log_probs: Float[Tensor, "members *rows classes"], shares: Float[Tensor, " members"] | None = None
) -> Float[Tensor, "*rows classes"]:
    """Return the log of the mean distribution of several: probabilities are averaged, never logits or their logarithms.

    Args:
        log_probs: log-probabilities.
        shares: of each in the mean, summing to 1; None: equal ones.

    Examples:
        >>> log_mean(torch.tensor([[[0.25, 0.75]], [[0.75, 0.25]]]).log()).exp()
        tensor([[0.5000, 0.5000]])
    """
    if shares is None:
        return log_probs.logsumexp(0) - math.log(len(log_probs))
    return (log_probs + shares.log().reshape(-1, *[1] * (log_probs.ndim - 1))).logsumexp(0)


def decoupled_kl(
    student_logits: Float[Tensor, "rows classes"],
    teacher_logits: Float[Tensor, "rows classes"],
    labels: Int[Tensor, " rows"],
    temperature: float = 1.0,
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
    """Return each row's KL of the pairs (p_y, 1 - p_y), and its KL among the classes other than y, renormalised.

    Both at the temperature, without its square; the teacher is constant. With two classes the second is 0.
    """
    student_pair, student_others = _pair_and_others(student_logits, labels, temperature)
    teacher_pair, teacher_others = _pair_and_others(teacher_logits.detach(), labels, temperature)
    return kl(teacher_pair, student_pair), kl(teacher_others, student_others)


def _pair_and_others(logits: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return log (p_y, 1 - p_y), [rows, 2], and log-probabilities among the others, [rows, classes - 1]."""
    scaled = promote(logits) / temperature
    rest = other_classes(scaled, labels)
    pair = torch.cat([scaled.gather(1, labels[:, None]), torch.logsumexp(rest, 1, keepdim=True)], dim=1)
    return log_soften(pair), log_soften(rest)


def other_classes(
    logits: Shaped[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Shaped[Tensor, "batch others"]:
    """Return the columns of the classes other than each row's label, in order: gathered, not masked.

    Examples:
        >>> other_classes(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1]))
        tensor([[1., 3.]])
    """
    columns = torch.arange(logits.shape[1] - 1, device=labels.device).expand(len(labels), -1)
    return logits.gather(1, columns + (columns >= labels[:, None]))


def targets(
    labels: Int[Tensor, " batch"] | Float[Tensor, "batch classes"], num_classes: int
) -> Float[Tensor, "batch classes"]:
    """Return each row's target distribution: one-hot for a class, the distribution itself where it is one.

    Examples:
        >>> targets(torch.tensor([1]), 3)
        tensor([[0., 1., 0.]])
    """
    return promote(labels) if labels.is_floating_point() else functional.one_hot(labels, num_classes).float()


def one_vs_rest(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "rows 2"]:
    """Return each log-odds z as a row of two logits (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z)), in order.

    Examples:
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

    Examples:
        >>> left_singular(torch.tensor([[3.0, 0.0], [0.0, 1.0]])).abs().round(decimals=6)
        tensor([1., 0.])
    """
    with torch.autocast(matrix.device.type, enabled=False):
        left = torch.arange(1, len(matrix) + 1, device=matrix.device).cos().to(matrix) if start is None else start
        for _ in range(iterations):
            left = functional.normalize(matrix @ (matrix.T @ left), dim=0)
    return left


def transport_cost(
    mine: Float[Tensor, "rows classes"],
    its: Float[Tensor, "rows classes"],
    moves: Float[Tensor, "rows classes classes"],
    *,
    regularisation: float,
    iterations: int,
) -> Float[Tensor, " rows"]:
    """Return the cost of moving one distribution of each row to the other, by Sinkhorn's algorithm; above 0 even at equality.

    Args:
        mine: distributions; their sums hold exactly.
        its: to which they move; their sums hold nearly.
        moves: cost of each move, from rows to columns.
        regularisation: entropic, above 0: the smaller, the nearer the exact cost.
        iterations: at least 1; the gradient goes through all.
    """
    with torch.autocast(moves.device.type, enabled=False):
        kernel = (-moves / regularisation).exp()
        left = right = torch.full_like(mine, 1 / max(mine.shape[1], 1))[:, :, None]
        for _ in range(iterations):
            right = its[:, :, None] / (kernel.mT @ left + _SMALL)
            left = mine[:, :, None] / (kernel @ right + _SMALL)
        return (left * kernel * right.mT * moves).sum((1, 2))
