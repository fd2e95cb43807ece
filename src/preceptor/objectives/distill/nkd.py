"""Normalised KD: a weighted cross-entropy for the target, and the other classes renormalised among themselves.

Source: Yang, Zeng, Li, Zhang, Yuan, Li, "From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with
Normalized Loss and Customized Soft Labels" (ICCV 2023, arXiv 2303.13005), equation 8. The defaults are those of one
released CIFAR-100 configuration; on ImageNet it is nontarget_weight 1.5, temperature 1.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from preceptor.divergences import log_soften, other_classes, promote
from preceptor.objectives.base import Objective
from preceptor.objectives.fallback import kd_where_unlabelled
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import RowWeights, check_row_weights, mean_of_rows, weigh_rows
from preceptor.objectives.tensor_checks import check_classes, check_logits
from preceptor.types import Step

__all__ = ["NKD", "nkd_loss"]


def nkd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    *,
    nontarget_weight: float = 3.5,
    temperature: float = 3.0,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return -q_y log p_y - nontarget_weight temperature^2 sum q' log p' over the other classes, not 0 at equality.

    Here p, q are the student's and the teacher's softmax, and p', q' those over the other classes alone, at the temperature.

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        labels: class of each row, in [0, classes).
        nontarget_weight: of the second term, which is 0 with two classes.
        temperature: of the second term only, above 0.
        row_weights: how much each sample counts; None for 1.

    Returns:
        nats per sample, batch mean: cross-entropies.

    Raises:
        ValueError: for a temperature that is not above 0, logits of different shapes, or labels that are no classes.

    Examples:
        >>> import torch
        >>> logits, labels = torch.zeros(1, 2), torch.tensor([0])
        >>> round(nkd_loss(logits, logits, labels).item(), 4)  # 0.5 log 2
        0.3466
    """
    check_logits(student_logits, teacher_logits)
    check_classes(labels, student_logits)
    temperature = positive(temperature, "temperature")
    student, teacher = promote(student_logits), promote(teacher_logits.detach())
    target = labels[:, None]
    matched = -(log_soften(teacher).gather(1, target).exp() * log_soften(student).gather(1, target)).squeeze(1)
    log_student, log_teacher = (log_soften(other_classes(z, labels), temperature) for z in (student, teacher))
    others = -(log_teacher.exp() * log_student).sum(1)
    return mean_of_rows(matched, row_weights) + nontarget_weight * temperature**2 * mean_of_rows(others, row_weights)


class NKD(Objective):
    """The target's cross-entropy weighted by the teacher's confidence, and the other classes' among themselves."""

    multilabel = "one_vs_rest"

    def __init__(
        self, nontarget_weight: float = 3.5, temperature: float = 3.0, row_weights: RowWeights = "equal"
    ) -> None:
        super().__init__()
        self.nontarget_weight = nontarget_weight
        self.temperature = positive(temperature, "temperature")
        self.row_weights: RowWeights = check_row_weights(row_weights)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] and labels [batch]."""
        return nkd_loss(
            student_logits,
            teacher_logits,
            labels,
            nontarget_weight=self.nontarget_weight,
            temperature=self.temperature,
            row_weights=weigh_rows(self.row_weights, student_logits, teacher_logits, self.temperature),
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher; on rows without a label that of plain KD."""
        return kd_where_unlabelled(step, self, self.temperature, self.row_weights)
