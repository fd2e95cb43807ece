from __future__ import annotations

import math

import pytest
import torch

from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.distill.ttm import TTM, ttm_loss, wttm_loss
from vectors import assert_golden, closed_form_logits, softmax_rows


@pytest.mark.parametrize("exponent", [0.1, 0.7])
def test_definition(exponent: float) -> None:
    student, teacher, _ = closed_form_logits()
    plain = weighted = 0.0
    for mine, its in zip(softmax_rows(student), softmax_rows(teacher), strict=True):
        total = sum(p**exponent for p in its)
        divergence = sum(
            p**exponent / total * math.log(p**exponent / total / q) for p, q in zip(its, mine, strict=True)
        )
        plain, weighted = plain + divergence / 4, weighted + total * divergence / 4
    assert ttm_loss(student, teacher, exponent=exponent).item() == pytest.approx(plain, rel=1e-9)
    assert wttm_loss(student, teacher, exponent=exponent).item() == pytest.approx(weighted, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ttm", number, ttm_loss)
    assert_golden("wttm", number, wttm_loss)


def test_by_hand() -> None:
    """p_T = (4/5, 1/5), exponent 1/2: q = (2/3, 1/3) and U = 3 / sqrt 5, against a uniform student."""
    student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(4.0), 0.0]])
    expected = math.log(2) + 2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)
    assert ttm_loss(student, teacher, exponent=0.5).item() == pytest.approx(expected, rel=1e-5)
    assert wttm_loss(student, teacher, exponent=0.5).item() == pytest.approx(3 / math.sqrt(5) * expected, rel=1e-5)


def test_the_power_one_is_kd_and_weighs_one() -> None:
    student, teacher, _ = closed_form_logits()
    expected = kd_loss(student, teacher, temperature=1.0)
    torch.testing.assert_close(ttm_loss(student, teacher, exponent=1.0), expected)
    torch.testing.assert_close(wttm_loss(student, teacher, exponent=1.0), expected)


def test_zero_where_the_student_is_the_scaled_teacher() -> None:
    _, teacher, _ = closed_form_logits()
    assert TTM(exponent=0.3)(0.3 * teacher + 7, teacher).item() == pytest.approx(0, abs=1e-12)


def test_weighted_is_wttm() -> None:
    student, teacher, _ = closed_form_logits()
    torch.testing.assert_close(TTM(0.2, weighted=True)(student, teacher), wttm_loss(student, teacher, exponent=0.2))


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: wttm_loss(z, teacher, exponent=0.3), student.requires_grad_())


def test_errors() -> None:
    for call in (lambda: TTM(0), lambda: wttm_loss(torch.zeros(1, 2), torch.zeros(1, 2), exponent=0)):
        with pytest.raises(ValueError, match="exponent: 0 is not above 0"):
            call()
