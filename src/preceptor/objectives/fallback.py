"""What methods that need labels do on rows without one: plain KD."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from preceptor.divergences import soft_kl
from preceptor.objectives.base import labels_of, teacher_outputs
from preceptor.types import Step

__all__ = ["kd_where_unlabelled"]


def kd_where_unlabelled(
    step: Step, labelled_loss: Callable[[Tensor, Tensor, Tensor], Tensor], temperature: float
) -> Tensor:
    """Return the mean over rows of a loss on labelled rows and of plain KD on the others.

    Args:
        step: whose labelled rows come first.
        labelled_loss: returns the mean loss of student logits, teacher logits and labels.
        temperature: of KD.
    """

    def labelled(some: Step) -> Tensor:
        return labelled_loss(some.student.logits, teacher_outputs(some).logits, labels_of(some))

    rows, known = len(step.batch.inputs), step.batch.num_labelled
    if known == rows:
        return labelled(step)
    others = step.rows(known, rows)
    loss = soft_kl(others.student.logits, teacher_outputs(others).logits, temperature).sum() / rows
    return loss if known == 0 else loss + labelled(step.rows(0, known)) * (known / rows)
