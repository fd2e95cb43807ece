"""Transformed teacher matching: the student itself, not a softened student, learns the softened teacher.

Source: Zheng, Yang, "Knowledge Distillation Based on Transformed Teacher Matching" (ICLR 2024, arXiv 2402.11148), and WTTM of
the same paper, which weights each sample by the sum over classes of the teacher's powers: undecided teachers count more.
There is no temperature^2: the size lies in the term's weight, and the two forms need weights of their own.
Differs from the authors' code: log space, finite where their powers of the softmax underflow.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import kl, log_soften
from preceptor.objectives.base import Objective, teacher_outputs
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import RowWeights, check_row_weights, mean_of_rows, weigh_rows
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["TTM", "ttm_loss", "wttm_loss"]


def ttm_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    exponent: float = 0.1,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return KL(q, p_S) with q = p_T^exponent, renormalised, and the student's p_S at temperature 1.

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        exponent: above 0, the inverse of the teacher's temperature.
        row_weights: how much each sample counts; None for 1.

    Returns:
        nats per sample, batch mean; not 0 at equality, but where the student's logits are exponent times the teacher's.

    Raises:
        ValueError: for an exponent that is not above 0, or logits of different shapes.

    Examples:
        >>> import torch
        >>> teacher = torch.tensor([[2.0, 1.0, -1.0]])
        >>> ttm_loss(0.5 * teacher, teacher, exponent=0.5).item()
        0.0
    """
    check_logits(student_logits, teacher_logits)
    exponent = positive(exponent, "exponent")
    powers = exponent * log_soften(teacher_logits.detach())
    return mean_of_rows(kl(log_soften(powers), log_soften(student_logits)), row_weights)


def wttm_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    exponent: float = 0.1,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean of U KL(q, p_S): as `ttm_loss`, each row times U, the sum over classes of p_T^exponent.

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        exponent: above 0; up to 1, U lies between 1 and classes^(1 - exponent).
        row_weights: how much each sample counts beyond U; None for 1.

    Returns:
        nats per sample, batch mean; not 0 at equality, but where the student's logits are exponent times the teacher's.

    Raises:
        ValueError: for an exponent that is not above 0, or logits of different shapes.

    Examples:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)
        >>> ratio = wttm_loss(student, teacher, exponent=0.5) / ttm_loss(student, teacher, exponent=0.5)
        >>> round(ratio.item(), 4)  # 2 sqrt(1 / 2)
        1.4142
    """
    check_logits(student_logits, teacher_logits)
    sums = (positive(exponent, "exponent") * log_soften(teacher_logits.detach())).logsumexp(1).exp()
    weights = sums if row_weights is None else sums * row_weights
    return ttm_loss(student_logits, teacher_logits, exponent=exponent, row_weights=weights)


class TTM(Objective):
    """KL divergence of the student from a power of the teacher's distribution; `weighted` is WTTM."""

    multilabel = "one_vs_rest"

    def __init__(self, exponent: float = 0.1, weighted: bool = False, row_weights: RowWeights = "equal") -> None:
        super().__init__()
        self.exponent = positive(exponent, "exponent")
        self.weighted = weighted
        self.row_weights: RowWeights = check_row_weights(row_weights)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        weights = weigh_rows(self.row_weights, student_logits, teacher_logits, 1 / self.exponent)
        loss = wttm_loss if self.weighted else ttm_loss
        return loss(student_logits, teacher_logits, exponent=self.exponent, row_weights=weights)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(step.student.logits, teacher_outputs(step).logits)
