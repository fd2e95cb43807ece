"""Multi-label data as one problem of two classes for each class: absent or present, with the logits (0, z)."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from preceptor.divergences import one_vs_rest
from preceptor.objectives.base import BuildContext
from preceptor.types import Outputs, Step

__all__ = ["index_by_class", "setting_by_class", "step_by_class"]


def step_by_class(step: Step) -> Step:
    """Return a step whose rows are the classes of each row in turn, present (1) or absent (0), with the logits (0, z)."""
    batch, (num_rows, num_classes) = step.batch, step.student.logits.shape
    labels = batch.labels
    if labels is not None:
        labels = labels.flatten()
        labels = torch.stack([1 - labels, labels], dim=1) if labels.is_floating_point() else labels
    rows = replace(
        batch,
        inputs=batch.inputs.new_empty(num_rows * num_classes, 0),  # what is seen is not a row a class
        labels=labels,
        index=index_by_class(batch.index, num_classes),
        extra_views={},
    )
    teacher = None if step.teacher is None else _outputs_by_class(step.teacher)
    return replace(step, batch=rows, student=_outputs_by_class(step.student), teacher=teacher)


def index_by_class(index: Int[Tensor, " samples"], num_classes: int) -> Int[Tensor, " rows"]:
    """Return the rows of a memory that belong to samples, one for each class of each in turn."""
    return (num_classes * index[:, None] + torch.arange(num_classes, device=index.device)).flatten()


def _outputs_by_class(outputs: Outputs) -> Outputs:
    return Outputs(
        one_vs_rest(outputs.logits),
        outputs.features,
        {name: _outputs_by_class(seen) for name, seen in outputs.views.items()},
        tuple(_outputs_by_class(member) for member in outputs.members),
    )


def setting_by_class(setting: BuildContext) -> BuildContext:
    """Return the setting of a problem of two classes with a row for each sample and class."""
    return replace(
        setting,
        num_samples=setting.num_samples * setting.num_classes,
        num_classes=2,
        student=_outputs_by_class(setting.student),
        teacher=None if setting.teacher is None else _outputs_by_class(setting.teacher),
        labels=None if setting.labels is None else setting.labels.flatten().long(),
        batch_size=setting.batch_size * setting.num_classes,
        task="binary",
    )
