"""Correlation instead of divergence: match the teacher's relations between classes, and between samples.

Source: Huang, You, Wang, Qian, Xu, "Knowledge Distillation from A Stronger Teacher" (NeurIPS 2022, arXiv 2205.10536),
equations 7 to 10. The factor temperature^2 is in the authors' code, not in the paper's formula.
Differs from the authors' code: what is constant has correlation 0 and no gradient, where theirs has one of up to 1e8, so
that a student whose classifier starts at zero can be trained.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import log_soften, promote
from preceptor.objectives.base import BuildContext, Objective, teacher_outputs
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["DIST", "dist_loss"]

_FLOOR = 1e-8  # added to the product of norms
_ROUNDING = 4.0  # a spread of so many units in the last place is that of a constant


def dist_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    temperature: float = 4.0,
    multilabel: bool = False,
) -> Float[Tensor, ""]:
    """Return temperature^2 (inter_weight (1 - mean row correlation) + intra_weight (1 - mean column correlation)).

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        inter_weight: of the correlation over classes, one per sample.
        intra_weight: of the correlation over samples, one per class; for a batch of one there is none, and the term is 0.
        temperature: of the softmax whose outputs are correlated, above 0; 4 on CIFAR, 1 on ImageNet.
        multilabel: take the sigmoid of each logit instead of the softmax over them, as multi-label data need.

    Returns:
        between 0 and 2 temperature^2 per term; 0 where the distributions are equal, up to 1e-8 of their norms; a constant row or
        column counts as uncorrelated. The second term depends on which samples share a batch.

    Raises:
        ValueError: for a temperature that is not above 0, or logits of different shapes.

    Examples:
        >>> import torch
        >>> one = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
        >>> round(dist_loss(one, one.flip(1), temperature=1.0).item(), 4)  # opposite in rows and in columns
        4.0
    """
    check_logits(student_logits, teacher_logits)
    temperature = positive(temperature, "temperature")
    both = (student_logits, teacher_logits.detach())
    if multilabel:
        student, teacher = (torch.sigmoid(promote(logits) / temperature) for logits in both)
    else:
        student, teacher = (log_soften(logits, temperature).exp() for logits in both)
    inter = 1 - _correlation(student, teacher).mean()
    intra = 1 - _correlation(student.T, teacher.T).mean() if len(student) > 1 else inter.new_zeros(())
    return temperature**2 * (inter_weight * inter + intra_weight * intra)


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    """Return Pearson's correlation of each pair of rows."""
    one, other = _centred(one), _centred(other)
    lengths = _length(one) * _length(other)
    return (one * other).sum(1) / (lengths + _FLOOR)


def _centred(rows: Tensor) -> Tensor:
    """Return rows less their means; a row that is constant but for rounding as zeros, without gradient."""
    top = rows.amax(1, keepdim=True)
    is_constant = top - rows.amin(1, keepdim=True) <= _ROUNDING * torch.finfo(rows.dtype).eps * top
    return (rows - rows.mean(1, keepdim=True)).masked_fill(is_constant, 0.0)


def _length(rows: Tensor) -> Tensor:
    """Return the norm of each row, with gradient 0 where it is 0."""
    squared = rows.square().sum(1)
    is_zero = squared == 0
    return squared.masked_fill(is_zero, 1.0).sqrt().masked_fill(is_zero, 0.0)


class DIST(Objective):
    """Correlation of the outputs over classes and over samples."""

    compares_rows = True
    multilabel = "as_is"

    def __init__(self, inter_weight: float = 1.0, intra_weight: float = 1.0, temperature: float = 4.0) -> None:
        super().__init__()
        self.inter_weight = inter_weight
        self.intra_weight = intra_weight
        self.temperature = positive(temperature, "temperature")
        self._has_warned = False
        self._is_multilabel = False

    def build(self, context: BuildContext) -> None:
        """Correlate sigmoids where several classes can be present at once."""
        self._is_multilabel = context.task == "multilabel"

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        if len(student_logits) == 1 and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                "dist of a batch of one: the term over samples is 0, only that over classes remains", stacklevel=2
            )
        return dist_loss(
            student_logits,
            teacher_logits,
            inter_weight=self.inter_weight,
            intra_weight=self.intra_weight,
            temperature=self.temperature,
            multilabel=self._is_multilabel,
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(step.student.logits, teacher_outputs(step).logits)
