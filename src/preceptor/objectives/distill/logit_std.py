"""KD of standardised logits: the student need not match the teacher's range, only its shape.

Source: Sun, Ren, Li, Wang, Cao, "Logit Standardization in Knowledge Distillation" (CVPR 2024, arXiv 2403.01427), algorithm 1:
temperature 2, weight 9; tuned by pair in the released logs (see the presets).
Differs from the authors' code: a row that is constant but for rounding has a gradient like any other, where theirs has one
of up to 1e7.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import one_vs_rest, promote, soft_kl
from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Objective, teacher_outputs
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import RowWeights, check_row_weights, mean_of_rows, weigh_rows
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["LogitStd", "logit_std_loss"]

_FLOOR = 1e-7
_ROUNDING = 4.0  # a spread of so many units in the last place is that of a constant


def logit_std_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    temperature: float = 2.0,
    multilabel: bool = False,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return temperature^2 KL(p_T, p_S) of z-scores (z - mean) / (std + 1e-7), std with classes - 1.

    Args:
        student_logits: of the student, at least 2 classes.
        teacher_logits: of the teacher; constant in the gradient.
        temperature: above 0.
        multilabel: the sum over classes of the KL of sigmoids of z-scores instead, as multi-label data need.
        row_weights: how much each sample counts; None for 1.

    Returns:
        nats per sample, batch mean; 0 where each row is a rising affine map of the other's. A constant row stands for the
        uniform distribution.

    Raises:
        ValueError: for a temperature that is not above 0, fewer than 2 classes, or logits of different shapes.

    Examples:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 1.0, -1.0]])
        >>> abs(logit_std_loss(3 * logits + 5, logits).item()) < 1e-6
        True
    """
    temperature = positive(temperature, "temperature")
    check_logits(student_logits, teacher_logits)
    if student_logits.shape[1] < 2:
        raise ValueError(f"student_logits: {student_logits.shape[1]} classes, logit_std needs at least 2")
    student, teacher = _standardized(student_logits), _standardized(teacher_logits.detach())
    if multilabel:
        student, teacher = one_vs_rest(student), one_vs_rest(teacher)
    rows = soft_kl(student, teacher, temperature)
    return mean_of_rows(rows.unflatten(0, (-1, student_logits.shape[1])).sum(1) if multilabel else rows, row_weights)


def _standardized(logits: Tensor) -> Tensor:
    logits = promote(logits)
    centred = logits - logits.mean(1, keepdim=True)
    variance = centred.square().sum(1, keepdim=True) / (logits.shape[1] - 1)
    spread = logits.amax(1, keepdim=True) - logits.amin(1, keepdim=True)
    is_constant = spread <= _ROUNDING * torch.finfo(logits.dtype).eps * logits.abs().amax(1, keepdim=True)
    deviation = variance.masked_fill(is_constant, 1.0).sqrt()  # the root has no gradient at 0
    return centred / (deviation + _FLOOR)


class LogitStd(Objective):
    """Softened KL divergence between z-scores of logits."""

    multilabel = "as_is"

    def __init__(self, temperature: float = 2.0, row_weights: RowWeights = "equal") -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")
        self.row_weights: RowWeights = check_row_weights(row_weights)
        self._is_multilabel = False

    def build(self, context: BuildContext) -> None:
        """Compare sigmoids where several classes can be present at once.

        Raises:
            UsageError: where rows are then to be weighted, which is by a distribution over classes.
        """
        if context.task == "multilabel" and self.row_weights != "equal":
            raise UsageError(
                f"method logit_std: row_weights {self.row_weights} is not made for multi-label data; use equal"
            )
        self._is_multilabel = context.task == "multilabel"

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        return logit_std_loss(
            student_logits,
            teacher_logits,
            temperature=self.temperature,
            multilabel=self._is_multilabel,
            row_weights=weigh_rows(self.row_weights, student_logits, teacher_logits, self.temperature),
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(step.student.logits, teacher_outputs(step).logits)
