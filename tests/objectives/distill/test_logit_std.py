from __future__ import annotations

import math
import statistics

import pytest
import torch

from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.distill.logit_std import LogitStd, logit_std_loss
from vectors import assert_golden, closed_form_logits, softmax_rows


def test_definition() -> None:
    student, teacher, _ = closed_form_logits()
    tables = []
    for logits in (student, teacher):
        scores = [
            [(value - statistics.fmean(row)) / (statistics.stdev(row) + 1e-7) for value in row]
            for row in logits.tolist()
        ]
        tables.append(softmax_rows(torch.tensor(scores, dtype=torch.float64), 3.0))
    total = sum(q * math.log(q / p) for mine, its in zip(*tables, strict=True) for p, q in zip(mine, its, strict=True))
    assert logit_std_loss(student, teacher, temperature=3.0).item() == pytest.approx(9 * total / 4, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("logit_std", number, logit_std_loss)


def test_tabulated() -> None:
    student, teacher, _ = closed_form_logits()
    assert logit_std_loss(student, teacher).item() == pytest.approx(0.5950451863, rel=1e-8)


def test_by_hand() -> None:
    """Two classes: z-scores are +-1/sqrt 2 whatever the logits, so opposite ones have KL d tanh-like of d = sqrt 2 / t."""
    value = logit_std_loss(torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 0.1]]), temperature=1.0)
    p = torch.tensor(2.0).sqrt().sigmoid()
    expected = p * torch.log(p / (1 - p)) + (1 - p) * torch.log((1 - p) / p)
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)


def test_scale_and_shift_of_either_side_do_not_matter() -> None:
    student, teacher, _ = closed_form_logits()
    torch.testing.assert_close(
        logit_std_loss(7 * student - 3, 0.2 * teacher + 5), logit_std_loss(student, teacher), rtol=1e-5, atol=0
    )


def test_a_constant_row_is_the_uniform_distribution_and_its_gradient_is_finite() -> None:
    student = torch.full((1, 4), 3.0, requires_grad=True)
    teacher = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    value = logit_std_loss(student, teacher)
    value.backward()
    scores = (teacher - 2.5) / teacher.std()
    assert value.item() == pytest.approx(kd_loss(torch.zeros(1, 4), scores, temperature=2.0).item(), rel=1e-5)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rounding_does_not_make_a_constant_row_steep(dtype: torch.dtype) -> None:
    """The mean of equal numbers is seldom exactly that number; dividing by what is left would give a gradient of 1e3."""
    torch.manual_seed(0)
    student = torch.randn(64, 1).to(dtype).expand(64, 100).clone().requires_grad_()
    value = logit_std_loss(student, 3 * torch.randn(64, 100).to(dtype))
    value.backward()
    assert student.grad is not None
    assert 0 < student.grad.abs().max() < 0.1


def test_a_narrow_row_far_from_0_is_still_standardised() -> None:
    _, teacher, _ = closed_form_logits()
    near = (1000 + 0.5 * teacher).float()
    assert logit_std_loss(near, teacher.float()).item() == pytest.approx(0, abs=1e-5)


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda logits: logit_std_loss(logits, teacher), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="temperature: -1 is not above 0"):
        LogitStd(temperature=-1)
    with pytest.raises(ValueError, match="1 classes, logit_std needs at least 2"):
        logit_std_loss(torch.zeros(2, 1), torch.zeros(2, 1))
