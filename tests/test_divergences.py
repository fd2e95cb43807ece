from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from preceptor.divergences import kl, log_soften, promote


def test_half_becomes_float32_and_double_stays() -> None:
    types = {torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.float64: torch.float64}
    assert {dtype: promote(torch.zeros(1, dtype=dtype)).dtype for dtype in types} == types


def test_softening_is_log_softmax_of_the_scaled_logits() -> None:
    logits = torch.randn(3, 4).double()
    expected = (logits / 2).exp() / (logits / 2).exp().sum(1, keepdim=True)
    torch.testing.assert_close(log_soften(logits, 2.0).exp(), expected)


def test_kl_by_hand_and_against_torch() -> None:
    target, given = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    assert kl(target, given).item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-6)
    rows = torch.log_softmax(torch.randn(5, 7).double(), 1), torch.log_softmax(torch.randn(5, 7).double(), 1)
    expected = functional.kl_div(rows[1], rows[0], reduction="none", log_target=True).sum(1)
    torch.testing.assert_close(kl(*rows), expected)


def test_a_target_of_nearly_nothing_adds_nothing_even_at_extreme_gaps() -> None:
    target, given = (log_soften(torch.tensor([[1e4, 0.0]])), log_soften(torch.tensor([[0.0, 1e4]])))
    assert kl(target, target).item() == 0
    assert kl(target, given).item() == pytest.approx(1e4)
