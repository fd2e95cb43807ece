"""Weights of rows: how much each sample counts in a loss that is a mean over rows of the logits of two networks."""

from __future__ import annotations

import math
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import log_soften
from preceptor.objectives.hyperparameters import fraction, one_of, positive
from preceptor.objectives.tensor_checks import check_logits

__all__ = ["RowWeights", "check_row_weights", "entropy_weights", "mean_of_rows", "reliability_weights", "weigh_rows"]

RowWeights = Literal["equal", "entropy", "reliability"]


def mean_of_rows(rows: Float[Tensor, " rows"], row_weights: Float[Tensor, " rows"] | None = None) -> Float[Tensor, ""]:
    """Return the mean of weight times row; 0 where there is no row.

    Raises:
        ValueError: for another number of weights than of rows.

    Examples:
        >>> import torch
        >>> mean_of_rows(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0])).item()
        1.0
    """
    if row_weights is not None:
        if row_weights.shape != rows.shape:
            raise ValueError(f"row_weights: shape {tuple(row_weights.shape)}, expected {tuple(rows.shape)}")
        rows = row_weights.detach() * rows
    return rows.mean() if len(rows) else rows.sum()


def entropy_weights(
    student_logits: Float[Tensor, "rows classes"],
    teacher_logits: Float[Tensor, "rows classes"],
    *,
    temperature: float = 3.0,
    entropy_bound: float | None = None,
) -> Float[Tensor, " rows"]:
    """Return H_T (1 + H_S / entropy_bound) / 2 of each row: samples on which the teacher is undecided count more.

    Source: Su et al., "EA-KD: Entropy-based Adaptive Knowledge Distillation" (ICCV 2025, arXiv 2311.13621).

    Args:
        student_logits: of the student; the weights have no gradient.
        teacher_logits: of the teacher.
        temperature: of both entropies, above 0.
        entropy_bound: in nats, above 0; None for the largest entropy there can be, log classes.

    Raises:
        ValueError: for a temperature or bound that is not above 0.

    Examples:
        >>> import torch
        >>> round(entropy_weights(torch.zeros(1, 2), torch.zeros(1, 2)).item(), 4)  # log 2: both are at the bound
        0.6931
    """
    largest = math.log(max(student_logits.shape[-1], 2))
    bound = largest if entropy_bound is None else positive(entropy_bound, "entropy_bound")
    temperature = positive(temperature, "temperature")
    of_student, of_teacher = (_entropy(logits, temperature) for logits in (student_logits, teacher_logits))
    return of_teacher * (1 + of_student / bound) / 2


def _entropy(logits: Tensor, temperature: float) -> Tensor:
    logs = log_soften(logits.detach(), temperature)
    return -(logs.exp() * logs.clamp_min(-1e30)).sum(-1)  # 0 log 0 is 0


def reliability_weights(
    teacher_logits: Float[Tensor, "*rows classes"], *, temperature: float = 4.0, floor: float = 0.2, power: float = 1.0
) -> Float[Tensor, "*rows"]:
    """Return floor + (1 - floor) r^power of each row, r the teacher's confidence from chance (0) to certainty (1).

    Source: the public code of RSM (region-wise scale decoupling), of which this part alone.

    Args:
        teacher_logits: of the teacher, at least two classes; the weights have no gradient.
        temperature: of the confidence, above 0.
        floor: weight of a row on which the teacher is at chance, in [0, 1].
        power: above 0; the larger, the less middling confidence counts.

    Raises:
        ValueError: for a hyperparameter out of range.

    Examples:
        >>> import torch
        >>> [round(weight, 4) for weight in reliability_weights(torch.tensor([[0.0, 0.0], [99.0, 0.0]])).tolist()]
        [0.2, 1.0]
    """
    fraction(floor, "floor", may_be_one=True)
    chance = 1 / teacher_logits.shape[-1]
    surety = log_soften(teacher_logits.detach(), positive(temperature, "temperature")).amax(-1).exp()
    above = ((surety - chance) / (1 - chance)).clamp(0, 1) if chance < 1 else surety
    return floor + (1 - floor) * above ** positive(power, "power")


def check_row_weights(row_weights: RowWeights) -> RowWeights:
    """Return the name of a way to weight rows.

    Raises:
        ValueError: where there is none of this name.
    """
    return one_of(row_weights, get_args(RowWeights), "row_weights")


def weigh_rows(
    row_weights: RowWeights, student_logits: Tensor, teacher_logits: Tensor, temperature: float = 4.0
) -> Float[Tensor, " rows"] | None:
    """Return the weight of each row; None where all count 1.

    Args:
        row_weights: "equal"; "entropy": `entropy_weights`; "reliability": `reliability_weights` at the temperature.
        student_logits: of the student.
        teacher_logits: of the teacher.
        temperature: of the loss.

    Raises:
        ValueError: for logits of different shapes.
    """
    if row_weights == "equal":
        return None
    check_logits(student_logits, teacher_logits)
    if row_weights == "entropy":
        return entropy_weights(student_logits, teacher_logits)
    return reliability_weights(teacher_logits, temperature=temperature)
