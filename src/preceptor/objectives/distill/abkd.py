"""Alpha-beta divergence: KD that shares the student's effort between the teacher's modes and what the student puts elsewhere.

Source: Wang et al., "ABKD: Pursuing a Proper Allocation of the Probability Mass in Knowledge Distillation via α-β-Divergence"
(ICML 2025, arXiv 2505.04560); the divergence is that of Cichocki, Cruces, Amari (Entropy 2011).
Differs from the authors' code: temperature^2, so that their weight 32 at temperature 4 is 2 here; log space, finite where
their powers of probabilities underflow; at an exponent of 0 the divergence's limit, with 1 / alpha^2 where theirs has 1 / alpha.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import alpha_beta, log_soften
from preceptor.objectives.base import Objective, teacher_outputs
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import RowWeights, check_row_weights, mean_of_rows, weigh_rows
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["ABKD", "abkd_loss"]


def abkd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    alpha: float = 0.8,
    beta: float = 0.3,
    temperature: float = 4.0,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return temperature^2 times the alpha-beta divergence of p_T and p_S, with p = softmax(z / temperature).

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        alpha: the teacher's exponent; 1 with beta 0 is KD. Below 0, of either or of their sum, the loss has no bound.
        beta: the student's exponent.
        temperature: above 0.
        row_weights: how much each sample counts; None for 1.

    Returns:
        per sample, summed over classes, batch mean; 0 where the rows differ by a constant only.

    Raises:
        ValueError: for a temperature that is not above 0, or logits of different shapes.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
        >>> round(abkd_loss(student, teacher, alpha=1.0, beta=0.0, temperature=1.0).item(), 6)  # that of KD
        0.327813
    """
    check_logits(student_logits, teacher_logits)
    temperature = positive(temperature, "temperature")
    mine, its = log_soften(student_logits, temperature), log_soften(teacher_logits.detach(), temperature)
    return mean_of_rows(temperature**2 * alpha_beta(its, mine, alpha, beta), row_weights)


class ABKD(Objective):
    """Softened alpha-beta divergence from the teacher's logits."""

    multilabel = "one_vs_rest"

    def __init__(
        self, alpha: float = 0.8, beta: float = 0.3, temperature: float = 4.0, row_weights: RowWeights = "equal"
    ) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.temperature = positive(temperature, "temperature")
        self.row_weights: RowWeights = check_row_weights(row_weights)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        return abkd_loss(
            student_logits,
            teacher_logits,
            alpha=self.alpha,
            beta=self.beta,
            temperature=self.temperature,
            row_weights=weigh_rows(self.row_weights, student_logits, teacher_logits, self.temperature),
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(step.student.logits, teacher_outputs(step).logits)
