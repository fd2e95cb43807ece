"""Weighted soft labels: trust the teacher on a sample as far as the student lags behind it there.

Source: Zhou, Song, Chen, Zhou, Wang, Yuan, Zhang, "Rethinking Soft Labels for Knowledge Distillation: A Bias-Variance
Tradeoff Perspective" (ICLR 2021, arXiv 2102.00650), equation 10. Weight 2.25 beside the cross-entropy is a port's for
CIFAR; the authors' is 2.5 at temperature 2 on ImageNet.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import kl, log_soften, promote
from preceptor.objectives.base import Objective
from preceptor.objectives.fallback import kd_where_unlabelled
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import RowWeights, check_row_weights, mean_of_rows, weigh_rows
from preceptor.objectives.tensor_checks import check_classes, check_logits
from preceptor.types import Step

__all__ = ["WSLD", "wsld_loss"]


def wsld_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    *,
    temperature: float = 4.0,
    zero_at_equality: bool = False,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return temperature^2 mean w H(p_T, p_S), w = 1 - exp(-CE_S / CE_T), not 0 at equality.

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        labels: class of each row, in [0, classes).
        temperature: above 0.
        zero_at_equality: take KL(p_T, p_S) in place of the cross-entropy: same gradient, 0 at equality.
        row_weights: how much each sample counts, times its weight; None for 1.

    Returns:
        nats per sample, batch mean; the weights, in [0, 1), have no gradient.

    Raises:
        ValueError: for a temperature that is not above 0, logits of different shapes, or labels that are no classes.

    Examples:
        >>> logits, labels = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
        >>> wsld_loss(logits, logits, labels, zero_at_equality=True).item()
        0.0
    """
    check_logits(student_logits, teacher_logits)
    check_classes(labels, student_logits)
    temperature = positive(temperature, "temperature")
    student, teacher = promote(student_logits), promote(teacher_logits.detach())
    hardness = functional.cross_entropy(student.detach(), labels, reduction="none")
    weight = -torch.expm1(-hardness / (functional.cross_entropy(teacher, labels, reduction="none") + 1e-7))
    log_teacher, log_student = log_soften(teacher, temperature), log_soften(student, temperature)
    divergence = kl(log_teacher, log_student) if zero_at_equality else -(log_teacher.exp() * log_student).sum(1)
    return temperature**2 * mean_of_rows(weight * divergence, row_weights)


class WSLD(Objective):
    """Soft labels weighted by how far the student lags behind the teacher."""

    multilabel = "one_vs_rest"

    def __init__(
        self, temperature: float = 4.0, zero_at_equality: bool = False, row_weights: RowWeights = "equal"
    ) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")
        self.zero_at_equality = zero_at_equality
        self.row_weights: RowWeights = check_row_weights(row_weights)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] and labels [batch]."""
        return wsld_loss(
            student_logits,
            teacher_logits,
            labels,
            temperature=self.temperature,
            zero_at_equality=self.zero_at_equality,
            row_weights=weigh_rows(self.row_weights, student_logits, teacher_logits, self.temperature),
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher; on rows without a label that of plain KD, whose weight is 1."""
        return kd_where_unlabelled(step, self, self.temperature, self.row_weights)
