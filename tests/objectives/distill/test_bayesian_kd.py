from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from preceptor.objectives.distill.bayesian_kd import BayesianKD, bayesian_kd_loss
from preceptor.objectives.distill.ensemble import ensemble_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden, closed_form_logits, softmax_rows


@pytest.mark.parametrize("temper", ["before", "after"])
def test_definition(temper: Any) -> None:
    student, teacher, _ = closed_form_logits()
    samples, total = torch.stack([teacher, -teacher, 2 * student]), 0.0
    mine = softmax_rows(student, 1.5)
    theirs = [softmax_rows(each, 3.0 if temper == "before" else 1.0) for each in samples]
    for row in range(4):
        mean = np.mean([each[row] for each in theirs], axis=0)
        if temper == "after":
            mean = mean ** (1 / 3) / (mean ** (1 / 3)).sum()
        total += 3.0 * 1.5 * sum(p * math.log(p / q) for p, q in zip(mean, mine[row], strict=True)) / 4
    value = bayesian_kd_loss(student, samples, teacher_temperature=3.0, student_temperature=1.5, temper=temper)
    assert value.item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("bayesian_kd", number, bayesian_kd_loss)


def test_with_equal_temperatures_it_is_the_ensemble() -> None:
    student, teacher, _ = closed_form_logits()
    samples = [teacher, -teacher]
    value = bayesian_kd_loss(student, torch.stack(samples), teacher_temperature=2.5, student_temperature=2.5)
    torch.testing.assert_close(value, ensemble_loss(student, samples, temperature=2.5))


def test_one_sample_is_tempered_the_same_before_and_after() -> None:
    student, teacher, _ = closed_form_logits()
    values = [bayesian_kd_loss(student, teacher[None], temper=temper) for temper in ("before", "after")]  # type: ignore[arg-type]
    torch.testing.assert_close(*values)


def test_a_teacher_without_members_is_one_sample() -> None:
    student, teacher, labels = closed_form_logits()
    batch = Batch(torch.zeros(4, 1), labels, torch.arange(4), View("none", 0, 1))
    step = Step(batch, Outputs(student), Outputs(teacher), torch.nn.Identity(), Progress(1, 2, 0.0))
    torch.testing.assert_close(BayesianKD().loss(step), bayesian_kd_loss(student, teacher[None]))


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    samples = torch.stack([teacher, -teacher])
    assert torch.autograd.gradcheck(lambda z: bayesian_kd_loss(z, samples, temper="after"), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="student_temperature: 0 is not above 0"):
        BayesianKD(student_temperature=0)
    with pytest.raises(ValueError, match="sample_logits: needs at least one sample, got none"):
        bayesian_kd_loss(torch.zeros(1, 2), torch.zeros(0, 1, 2))
