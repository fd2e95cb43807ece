from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from preceptor.objectives.distill.kd import KD, abkd_loss, divergence_loss, kd_loss
from vectors import assert_golden, closed_form_logits, softmax_rows


@pytest.mark.parametrize("temperature", [1.0, 2.5, 4.0])
def test_definition(temperature: float) -> None:
    student, teacher, _ = closed_form_logits()
    p_student, p_teacher = softmax_rows(student, temperature), softmax_rows(teacher, temperature)
    rows = [
        sum(t * (math.log(t) - math.log(s)) for s, t in zip(s_row, t_row, strict=True))
        for s_row, t_row in zip(p_student, p_teacher, strict=True)
    ]
    expected = temperature**2 * sum(rows) / len(rows)
    assert kd_loss(student, teacher, temperature=temperature).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("kd", number, kd_loss)


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 1.101119249), (4.0, 1.780203062)])
def test_tabulated(temperature: float, expected: float) -> None:
    student, teacher, _ = closed_form_logits()
    assert kd_loss(student, teacher, temperature=temperature).item() == pytest.approx(expected, rel=1e-9)


def test_by_hand() -> None:
    """p_T = (1/2, 1/2), p_S = (1/4, 3/4): KL = log 2 - log(3)/2."""
    student, teacher = torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[7.0, 7.0]])
    assert kd_loss(student, teacher, temperature=1.0).item() == pytest.approx(math.log(2) - math.log(3) / 2, rel=1e-6)


def test_gradient_is_temperature_times_the_difference_of_probabilities() -> None:
    student, teacher, _ = closed_form_logits()
    student.requires_grad_()
    kd_loss(student, teacher, temperature=3.0).backward()
    expected = 3.0 * (torch.softmax(student / 3, 1) - torch.softmax(teacher / 3, 1)) / 4
    assert student.grad is not None
    torch.testing.assert_close(student.grad, expected.detach())


def test_at_high_temperature_it_is_half_the_mean_squared_difference_of_centred_logits() -> None:
    student, teacher, _ = closed_form_logits()
    difference = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    limit = 0.5 * difference.square().mean()
    assert kd_loss(student, teacher, temperature=1e4).item() == pytest.approx(limit.item(), rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(-50, 50), scale=st.floats(0.5, 5))
def test_shifts_do_not_matter_and_temperature_is_a_scale(shift: float, scale: float) -> None:
    student, teacher, _ = closed_form_logits()
    value = kd_loss(student, teacher, temperature=scale)
    torch.testing.assert_close(kd_loss(student + shift, teacher - shift, temperature=scale), value)
    torch.testing.assert_close(scale**2 * kd_loss(student / scale, teacher / scale, temperature=1.0), value)


def test_two_classes_are_bernoulli() -> None:
    student, teacher = torch.tensor([[1.0, -0.5]]).double(), torch.tensor([[0.2, 0.9]]).double()
    p, q = (torch.sigmoid(z[0, 0] - z[0, 1]) for z in (teacher, student))
    expected = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    torch.testing.assert_close(kd_loss(student, teacher, temperature=1.0), expected)


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: kd_loss(z, teacher, temperature=2.0), student.requires_grad_())


def test_it_is_torchs_batch_mean() -> None:
    student, teacher, _ = closed_form_logits()
    log_student, log_teacher = torch.log_softmax(student, 1), torch.log_softmax(teacher, 1)
    expected = functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    torch.testing.assert_close(kd_loss(student, teacher, temperature=1.0), expected)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_not_above_0_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=r"temperature: .* is not above 0"):
        KD(temperature)
    with pytest.raises(ValueError, match="temperature"):
        kd_loss(torch.zeros(1, 2), torch.zeros(1, 2), temperature=temperature)


def test_a_class_that_the_teacher_rules_out_is_no_obstacle() -> None:
    student = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    value = kd_loss(student, torch.tensor([[0.0, 0.0, -math.inf]]), temperature=1.0)
    value.backward()
    kept = torch.softmax(student.detach(), 1)[0, :2]
    assert value.item() == pytest.approx(float((0.5 * (0.5 / kept).log()).sum()), rel=1e-5)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("number", range(5))
def test_golden_divergences(number: int) -> None:
    assert_golden("divergence", number, divergence_loss)


DIVERGENCES: list[Any] = [
    "kl",
    "reverse_kl",
    "jensen_shannon",
    "hellinger",
    "total_variation",
    "logit_mse",
    "alpha_beta",
]


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_divergences(kind: Any) -> None:
    """Zero where equal, finite at extremes in half precision and with no or one row, gradient checked."""
    student, teacher, _ = closed_form_logits()
    objective = KD(divergence=kind)
    assert objective(teacher, teacher).item() == pytest.approx(0, abs=1e-12)
    assert objective(student[:0], teacher[:0]).item() == 0
    torch.testing.assert_close(
        objective(student[:1], teacher[:1]), divergence_loss(student[:1], teacher[:1], kind=kind)
    )
    extreme = torch.tensor([[3e4, 0.0, -3e4]], dtype=torch.bfloat16, requires_grad=True)
    value = objective(extreme, -extreme.detach())
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert extreme.grad is not None
    assert torch.isfinite(extreme.grad).all()
    assert torch.autograd.gradcheck(lambda z: objective(z, teacher), student.requires_grad_())


def test_an_unknown_divergence() -> None:
    with pytest.raises(ValueError, match="divergence: unknown 'js'; there are kl, reverse_kl, jensen_shannon"):
        inspect.unwrap(KD.__init__)(KD.__new__(KD), divergence="js")


@pytest.mark.parametrize(("alpha", "beta"), [(0.8, 0.3), (0.5, 0.5), (1.2, -0.1)])
def test_abkd_by_its_definition(alpha: float, beta: float) -> None:
    student, teacher, _ = closed_form_logits()
    total = 0.0
    for mine, its in zip(softmax_rows(student, 4.0), softmax_rows(teacher, 4.0), strict=True):
        for q, p in zip(mine, its, strict=True):
            both = alpha + beta
            total -= (p**alpha * q**beta - alpha / both * p**both - beta / both * q**both) / (alpha * beta)
    value = abkd_loss(student, teacher, alpha=alpha, beta=beta, temperature=4.0)
    assert value.item() == pytest.approx(16 * total / 4, rel=1e-9)
    objective = KD(divergence="alpha_beta", alpha=alpha, beta=beta)
    torch.testing.assert_close(objective(student, teacher), value)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_golden_abkd(number: int) -> None:
    assert_golden("abkd", number, abkd_loss)


def test_abkd_by_hand() -> None:
    """p = (1/2, 1/2), q = (1/4, 3/4), alpha = beta = 1: half the squared distance, 1/16."""
    student, teacher = torch.tensor([[0.0, math.log(3.0)]]), torch.zeros(1, 2)
    value = abkd_loss(student, teacher, alpha=1.0, beta=1.0, temperature=1.0)
    assert value.item() == pytest.approx(1 / 16, rel=1e-6)


def test_abkd_with_one_and_zero_is_kd() -> None:
    student, teacher, _ = closed_form_logits()
    torch.testing.assert_close(abkd_loss(student, teacher, alpha=1.0, beta=0.0), kd_loss(student, teacher))


def test_powers_of_abkd_that_underflow_are_finite() -> None:
    student = torch.tensor([[0.0, 2e4, 0.0]], requires_grad=True)
    value = abkd_loss(student, torch.tensor([[1e4, 0.0, 1.0]]))
    value.backward()
    assert torch.isfinite(value)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
