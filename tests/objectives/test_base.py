from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.objectives.base import labels_of, targets_of, teacher_outputs
from preceptor.types import Batch, Outputs, Progress, Step, View


def step(labels: Tensor | None = None) -> Step:
    batch = Batch(torch.zeros(2, 3), labels, torch.arange(2), View("none", 0, 1))
    return Step(batch, Outputs(torch.zeros(2, 3)), None, nn.Identity(), Progress(1, 4, 0.0))


def test_what_is_missing_in_a_step_is_named() -> None:
    with pytest.raises(UsageError, match="needs labels, and 2 of 2 rows have none; with needs_labels = True"):
        labels_of(step())
    with pytest.raises(UsageError, match="learns from a teacher, and the run has none"):
        teacher_outputs(step())


def test_target_distributions_are_labels_too_but_no_classes() -> None:
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    assert torch.equal(targets_of(step(labels=soft)), soft)
    with pytest.raises(UsageError, match="needs classes as labels"):
        labels_of(step(labels=soft))
