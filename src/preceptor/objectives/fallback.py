"""What label-aware methods do on rows whose label is not known."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from preceptor.divergences import soft_kl
from preceptor.objectives.base import teacher_outputs
from preceptor.types import Step

__all__ = ["kd_where_unlabelled"]


def kd_where_unlabelled(step: Step, labelled: Callable[[Step], Tensor], temperature: float) -> Tensor:
    """Return the mean over rows of a loss on those with labels and of plain KD on the others.

    Args:
        step: whose labelled rows come first.
        labelled: returns the mean loss of a step all of whose rows have labels.
        temperature: of KD.
    """
    rows, known = len(step.batch.inputs), step.batch.num_labelled
    if known == rows:
        return labelled(step)
    others = step.rows(known, rows)
    loss = soft_kl(others.student.logits, teacher_outputs(others).logits, temperature).sum() / rows
    return loss if known == 0 else loss + labelled(step.rows(0, known)) * (known / rows)
