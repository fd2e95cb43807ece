"""Decoupled KD: the target class and the other classes weighted separately.

Source: Zhao, Cui, Song, Qiu, Liang, "Decoupled Knowledge Distillation" (CVPR 2022, arXiv 2203.08679), equation 7.
Differs from the authors' code: log-space throughout, finite where a student is very sure of a wrong class; the C - 1 other
classes are gathered, not masked with -1000.
"""

from __future__ import annotations

import warnings

from jaxtyping import Float, Int
from torch import Tensor

from preceptor.divergences import decoupled_kl
from preceptor.objectives.base import Objective
from preceptor.objectives.fallback import kd_where_unlabelled
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import RowWeights, check_row_weights, mean_of_rows, weigh_rows
from preceptor.objectives.tensor_checks import check_classes, check_logits
from preceptor.types import Step

__all__ = ["DKD", "dkd_loss"]


def dkd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    *,
    target_weight: float = 1.0,
    nontarget_weight: float = 8.0,
    temperature: float = 4.0,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return temperature^2 (target_weight TCKD + nontarget_weight NCKD).

    TCKD is the KL of the pair (p_y, 1 - p_y), NCKD the KL over the classes other than y, renormalised. With two classes
    there is one other class, so NCKD is 0 by definition.

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        labels: classes.
        target_weight: of TCKD.
        nontarget_weight: of NCKD; 2 to 8 on CIFAR-100, the larger the surer the teacher.
        temperature: above 0.
        row_weights: how much each sample counts; None for 1.

    Returns:
        nats per sample, batch mean; 0 where the rows differ by a constant only.

    Raises:
        ValueError: for a temperature that is not above 0, fewer than two classes, logits of different shapes, or labels
            that are no classes.

    Examples:
        >>> import torch
        >>> same = torch.tensor([[2.0, 1.0, 0.0]])
        >>> dkd_loss(same, same, torch.tensor([0])).item()
        0.0
    """
    check_logits(student_logits, teacher_logits)
    check_classes(labels, student_logits)
    temperature = positive(temperature, "temperature")
    if student_logits.shape[1] < 2:
        raise ValueError(f"student_logits: {student_logits.shape[1]} classes, dkd needs at least 2")
    target, nontarget = (
        mean_of_rows(rows, row_weights) for rows in decoupled_kl(student_logits, teacher_logits, labels, temperature)
    )
    return temperature**2 * (target_weight * target + nontarget_weight * nontarget)


class DKD(Objective):
    """Decoupled KL divergence from the teacher's logits, by the labels."""

    multilabel = "one_vs_rest"

    def __init__(
        self,
        target_weight: float = 1.0,
        nontarget_weight: float = 8.0,
        temperature: float = 4.0,
        row_weights: RowWeights = "equal",
    ) -> None:
        super().__init__()
        self.target_weight = target_weight
        self.nontarget_weight = nontarget_weight
        self.temperature = positive(temperature, "temperature")
        self.row_weights: RowWeights = check_row_weights(row_weights)
        self._has_warned = False

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch]."""
        if student_logits.shape[-1] == 2 and not self._has_warned:
            self._has_warned = True
            warnings.warn("dkd with two classes: the non-target term is 0, only the target term remains", stacklevel=2)
        return dkd_loss(
            student_logits,
            teacher_logits,
            labels,
            target_weight=self.target_weight,
            nontarget_weight=self.nontarget_weight,
            temperature=self.temperature,
            row_weights=weigh_rows(self.row_weights, student_logits, teacher_logits, self.temperature),
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher; on rows without a label that of plain KD."""
        return kd_where_unlabelled(step, self, self.temperature, self.row_weights)
