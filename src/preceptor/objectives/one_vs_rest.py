"""Multi-label data as one problem of two classes per class: absent or present, with the logits (0, z)."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from preceptor.divergences import one_vs_rest
from preceptor.objectives.base import BuildContext
from preceptor.types import Outputs, Step

__all__ = ["one_vs_rest_context", "one_vs_rest_rows", "one_vs_rest_step"]


def one_vs_rest_step(step: Step) -> Step:
    """Return a step with one row per sample and class, present (1) or absent (0), with the logits (0, z)."""
    batch, (num_rows, num_classes) = step.batch, step.student.logits.shape
    labels = batch.labels
    if labels is not None:
        labels = labels.flatten()
        labels = torch.stack([1 - labels, labels], dim=1) if labels.is_floating_point() else labels
    rows = replace(
        batch,
        inputs=batch.inputs.new_empty(num_rows * num_classes, 0),  # inputs have no rows per class
        labels=labels,
        index=one_vs_rest_rows(batch.index, num_classes),
        extra_views={},
    )
    teacher = None if step.teacher is None else _outputs(step.teacher)
    return replace(step, batch=rows, student=_outputs(step.student), teacher=teacher)


def one_vs_rest_rows(index: Int[Tensor, " samples"], num_classes: int) -> Int[Tensor, " rows"]:
    """Return the rows of a memory bank that belong to samples: one per class of each sample, in order."""
    return (num_classes * index[:, None] + torch.arange(num_classes, device=index.device)).flatten()


def one_vs_rest_context(context: BuildContext) -> BuildContext:
    """Return the context of a problem of two classes with one row per sample and class."""
    return replace(
        context,
        num_samples=context.num_samples * context.num_classes,
        num_classes=2,
        student=_outputs(context.student),
        teacher=None if context.teacher is None else _outputs(context.teacher),
        labels=None if context.labels is None else context.labels.flatten().long(),
        batch_size=context.batch_size * context.num_classes,
        task="binary",
    )


def _outputs(outputs: Outputs) -> Outputs:
    return Outputs(
        one_vs_rest(outputs.logits),
        outputs.features,
        {name: _outputs(view) for name, view in outputs.views.items()},
        tuple(_outputs(member) for member in outputs.members),
    )
