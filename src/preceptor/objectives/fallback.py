"""What methods that need labels do on rows without one: plain KD, or the teacher's class for a label."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from preceptor.divergences import soft_kl
from preceptor.objectives.base import labels_of, teacher_outputs
from preceptor.objectives.row_weights import RowWeights, weigh_rows
from preceptor.types import Step

__all__ = ["kd_where_unlabelled", "labels_or_guesses"]


def kd_where_unlabelled(
    step: Step,
    labelled_loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    temperature: float,
    row_weights: RowWeights = "equal",
) -> Tensor:
    """Return the mean over rows of a loss on labelled rows and of plain KD on the others.

    Args:
        step: whose labelled rows come first.
        labelled_loss: returns the mean loss of student logits, teacher logits and labels.
        temperature: of KD.
        row_weights: of the rows of KD.
    """

    def labelled(some: Step) -> Tensor:
        return labelled_loss(some.student.logits, teacher_outputs(some).logits, labels_of(some))

    rows, known = len(step.batch.inputs), step.batch.num_labelled
    if known == rows:
        return labelled(step)
    others = step.rows(known, rows)
    logits = others.student.logits, teacher_outputs(others).logits
    weights = weigh_rows(row_weights, *logits, temperature)
    divergence = soft_kl(*logits, temperature)
    loss = (divergence if weights is None else weights * divergence).sum() / rows
    return loss if known == 0 else loss + labelled(step.rows(0, known)) * (known / rows)


def labels_or_guesses(step: Step) -> Tensor:
    """Return the class of each row, and the teacher's first choice where it has no label, [rows]."""
    guesses, known = teacher_outputs(step).logits.argmax(1), step.batch.num_labelled
    if known == 0:
        return guesses
    labels = labels_of(step.rows(0, known))
    return labels if known == len(guesses) else torch.cat([labels, guesses[known:]])
