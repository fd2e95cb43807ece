"""Multi-level logits: KD at several temperatures, and the relations between classes and between samples, on two views.

Source: Jin, Wang, Lin, "Multi-Level Logit Distillation" (CVPR 2023), equations 3 to 9, and the released training loop. The
second view is a strong augmentation of the same images.
Two forms: "released" is the authors' loop, which multiplies losses by means of confidence masks, gives two of the "strong"
temperatures the weak view, and leaves the strong view's relations out; "paper" masks samples and classes, and takes both
views throughout. Both add their cross-entropy of the strong view, 1/9 of the loss as weighted here.
Differs from the released loop: both views go through each network in one forward pass, so that batch-norm sees them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from preceptor.constants import constant
from preceptor.divergences import kl, log_soften, promote
from preceptor.errors import UsageError
from preceptor.objectives.base import Objective, labels_of, teacher_outputs
from preceptor.objectives.hyperparameters import one_of, positive
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Outputs, Step

__all__ = ["MLKD", "mlkd_loss"]

Form = Literal["released", "paper"]
_FORMS: tuple[Form, ...] = ("released", "paper")
_TEMPERATURES = (4.0, 3.0, 5.0, 2.0, 6.0)


def mlkd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    temperatures: Sequence[float] = _TEMPERATURES,
) -> Float[Tensor, ""]:
    """Return sum over temperatures t of t^2 KL(P_T, P_S) + |P_T'P_T - P_S'P_S|^2 / classes + |P_T P_T' - P_S P_S'|^2 / batch.

    Args:
        student_logits: of one view.
        teacher_logits: of the same; constant in the gradient.
        temperatures: at least one, each above 0.

    Returns:
        nats per sample for the first term, squared Frobenius distances for the others; 0 where the rows differ by a constant.

    Raises:
        ValueError: for no temperature, one that is not above 0, or logits of different shapes.

    Examples:
        >>> same = torch.tensor([[2.0, 1.0, 0.0]])
        >>> mlkd_loss(same, same).item()
        0.0
    """
    check_logits(student_logits, teacher_logits)
    rows, classes, samples = (term.sum() for term in _levels(student_logits, teacher_logits, temperatures))
    return rows / len(student_logits) + classes / student_logits.shape[1] + samples / len(student_logits)


def _levels(student: Tensor, teacher: Tensor, temperatures: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Return t^2 KL by (temperature, sample), and squared distances of relations by (t, class) and by (t, sample)."""
    if not temperatures:
        raise ValueError("temperatures: needs at least one, got none")
    ts = [positive(temperature, "temperatures") for temperature in temperatures]
    log_student = torch.stack([log_soften(student, t) for t in ts])
    log_teacher = torch.stack([log_soften(teacher.detach(), t) for t in ts])
    squares = constant(tuple(ts), student.device, log_student.dtype).square()
    with torch.autocast(student.device.type, enabled=False):
        mine, its = log_student.exp(), log_teacher.exp()
        classes = (its.mT @ its - mine.mT @ mine).square().sum(2)
        samples = (its @ its.mT - mine @ mine.mT).square().sum(2)
    return squares[:, None] * kl(log_teacher, log_student), classes, samples


class MLKD(Objective):
    """Three levels of logits on a weak view and on the extra view "strong"; without labels its cross-entropy is left out."""

    compares_rows = True

    def __init__(self, form: Form = "released") -> None:
        super().__init__()
        self.form = one_of(form, _FORMS, "form")

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the three levels on one view of logits [batch, classes], unmasked; labels are not used."""
        return mlkd_loss(student_logits, teacher_logits)

    def views(self) -> tuple[str, ...]:
        """Ask for the strong view."""
        return ("strong",)

    def loss(self, step: Step) -> Tensor:
        """Return the loss on both views.

        Raises:
            UsageError: when a network's outputs lack the strong view.
        """
        teacher = teacher_outputs(step)
        weak, its, strong, its_strong = (
            step.student.logits,
            teacher.logits,
            _of_strong(step.student, "student"),
            _of_strong(teacher, "teacher"),
        )
        loss = (_released if self.form == "released" else _paper)(weak, its, strong, its_strong)
        known = step.batch.num_labelled
        if known == 0:
            return loss
        return loss + functional.cross_entropy(promote(strong[:known]), labels_of(step.rows(0, known))) / 9


def _of_strong(outputs: Outputs, who: str) -> Tensor:
    if "strong" not in outputs.views:
        raise UsageError(
            f"method mlkd needs the {who}'s outputs for the view strong, and there are none: use a network as {who}"
        )
    return outputs.views["strong"].logits


def _confident(teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return which samples are not surer than the median one, and which classes not more expected, as 0 and 1."""
    probabilities = log_soften(teacher.detach()).exp()
    surety, expected = probabilities.amax(1), probabilities.sum(0)
    return (surety <= surety.quantile(0.5)).to(surety), (expected <= expected.quantile(0.5)).to(surety)


def _released(weak: Tensor, its: Tensor, strong: Tensor, its_strong: Tensor) -> Tensor:
    of_samples, of_classes = (mask.mean() for mask in _confident(its))
    rows, classes, samples = _levels(weak, its, _TEMPERATURES)
    rows_strong, _, _ = _levels(strong, its_strong, _TEMPERATURES[:3])
    batch, num_classes = weak.shape
    relations = of_classes * classes.sum() / num_classes + of_samples * samples.sum() / batch
    return of_samples * rows.sum() / batch + rows_strong.sum() / batch + rows[3:].sum() / batch + relations


def _paper(weak: Tensor, its: Tensor, strong: Tensor, its_strong: Tensor) -> Tensor:
    total = weak.new_zeros((), dtype=promote(weak).dtype)
    batch, num_classes = weak.shape
    for mine, theirs, is_masked in ((weak, its, True), (strong, its_strong, False)):
        of_samples, of_classes = _confident(theirs)
        rows, classes, samples = _levels(mine, theirs, _TEMPERATURES)
        masked_rows = rows * of_samples if is_masked else rows
        relations = (classes * of_classes).sum() / num_classes + (samples * of_samples).sum() / batch
        total = total + masked_rows.sum() / batch + relations
    return total
