"""Rows with labels get the method's loss, the others plain KD; together one mean over rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.fallback import kd_where_unlabelled, labels_or_guesses
from preceptor.types import Batch, Outputs, Progress, Step, View

RANDOM = torch.Generator().manual_seed(0)
STUDENT, TEACHER = torch.randn(5, 3, generator=RANDOM), torch.randn(5, 3, generator=RANDOM)
LABELS = torch.tensor([2, 0, 1, 1, 2])


def step(num_labelled: int) -> Step:
    batch = Batch(
        torch.zeros(5, 2), LABELS[:num_labelled] if num_labelled else None, torch.arange(5), View("none", 0, 1)
    )
    return Step(batch, Outputs(STUDENT), Outputs(TEACHER), nn.Identity(), Progress(1, 4, 0.0))


def mean_of_rows(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    return (student - teacher).gather(1, labels[:, None]).mean()


@pytest.mark.parametrize("num_labelled", [0, 1, 3, 5])
def test_a_mean_over_rows_of_both(num_labelled: int) -> None:
    own = [(STUDENT[row] - TEACHER[row])[LABELS[row]].item() for row in range(num_labelled)]
    others = [kd_loss(STUDENT[[row]], TEACHER[[row]], temperature=3.0).item() for row in range(num_labelled, 5)]
    value = kd_where_unlabelled(step(num_labelled), mean_of_rows, 3.0)
    assert value.item() == pytest.approx(sum(own + others) / 5, rel=1e-5)


@pytest.mark.parametrize("num_labelled", [0, 5])
def test_without_a_teacher(num_labelled: int) -> None:
    with pytest.raises(UsageError, match="learns from a teacher, and the run has none"):
        kd_where_unlabelled(replace(step(num_labelled), teacher=None), mean_of_rows, 3.0)


@pytest.mark.parametrize("num_labelled", [0, 2, 5])
def test_the_teachers_class_stands_for_a_label(num_labelled: int) -> None:
    guesses = TEACHER.argmax(1).tolist()
    expected = [*LABELS[:num_labelled].tolist(), *guesses[num_labelled:]]
    assert labels_or_guesses(step(num_labelled)).tolist() == expected
