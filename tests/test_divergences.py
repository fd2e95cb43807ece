from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch.nn import functional

from preceptor.divergences import (
    LEAST_PROBABILITY,
    alpha_beta,
    as_logits,
    decoupled_kl,
    hellinger,
    jensen_shannon,
    kl,
    left_singular,
    log_soften,
    promote,
    total_variation,
    transport_cost,
)


def test_half_becomes_float32_and_double_stays() -> None:
    types = {torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.float64: torch.float64}
    assert {dtype: promote(torch.zeros(1, dtype=dtype)).dtype for dtype in types} == types


def test_softening_is_log_softmax_of_the_scaled_logits() -> None:
    logits = torch.randn(3, 4).double()
    expected = (logits / 2).exp() / (logits / 2).exp().sum(1, keepdim=True)
    torch.testing.assert_close(log_soften(logits, 2.0).exp(), expected)


def test_probabilities_as_logits() -> None:
    probabilities = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    logits = as_logits(probabilities)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits.softmax(1), probabilities, atol=1e-11, rtol=0)
    assert logits[1].tolist() == pytest.approx([0.0, math.log(LEAST_PROBABILITY), math.log(LEAST_PROBABILITY)])
    odds = as_logits(probabilities, is_multilabel=True)
    torch.testing.assert_close(odds.sigmoid(), probabilities, atol=1e-11, rtol=0)
    assert as_logits(probabilities.half()).dtype == torch.float32


def test_kl_by_hand_and_against_torch() -> None:
    target, prediction = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    assert kl(target, prediction).item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-6)
    rows = torch.log_softmax(torch.randn(5, 7).double(), 1), torch.log_softmax(torch.randn(5, 7).double(), 1)
    expected = functional.kl_div(rows[1], rows[0], reduction="none", log_target=True).sum(1)
    torch.testing.assert_close(kl(*rows), expected)


def test_a_target_of_nearly_nothing_adds_nothing_even_at_extreme_gaps() -> None:
    target, prediction = (log_soften(torch.tensor([[1e4, 0.0]])), log_soften(torch.tensor([[0.0, 1e4]])))
    assert kl(target, target).item() == 0
    assert kl(target, prediction).item() == pytest.approx(1e4)


def test_a_target_of_exactly_0_adds_nothing_in_value_and_gradient() -> None:
    logits = torch.tensor([0.0, 1.0, -math.inf], requires_grad=True)
    value = kl(torch.tensor([0.0, -math.inf, -math.inf]), torch.log_softmax(logits, 0))
    value.backward()
    assert value.item() == pytest.approx(math.log(1 + math.e))
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_kl_does_not_broadcast() -> None:
    unchecked = inspect.unwrap(kl)  # users run without the shape checks of the test run
    with pytest.raises(ValueError, match=r"shapes \(4, 5\) and \(4, 1\) differ"):
        unchecked(torch.zeros(4, 5), torch.zeros(4, 1))


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, -1.0], [-1.0, 1.0]],
        [[-1.0, -2.0, -3.0]],
        [[0.0, 0.0], [0.0, -5.0]],
        [[3.0, 1.0, 2.0], [-1.0, 0.5, 4.0], [2.0, 2.0, -7.0]],
    ],
)
def test_power_iteration_finds_the_largest_singular_value(rows: list[list[float]]) -> None:
    matrix = torch.tensor(rows).double()
    left = left_singular(matrix, iterations=60)
    assert left.norm().item() == pytest.approx(1)
    assert (matrix.T @ left).norm().item() == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item(), rel=1e-9)


def test_power_iteration_goes_on_where_it_stopped_and_leaves_autocast() -> None:
    matrix = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    half_way = left_singular(matrix, iterations=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        resumed = left_singular(matrix, half_way, iterations=3)
    torch.testing.assert_close(resumed, left_singular(matrix, iterations=7))
    assert left_singular(torch.zeros(2, 3)).tolist() == [0.0, 0.0]


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    p, q = (torch.log_softmax(2 * torch.randn(3, 6).double(), 1) for _ in range(2))
    return p, q


def test_bounded_divergences_by_definition_and_at_their_bounds() -> None:
    p, q = pair()
    mean = (p.exp() + q.exp()) / 2
    expected = (p.exp() * (p - mean.log()) + q.exp() * (q - mean.log())).sum(1) / 2
    torch.testing.assert_close(jensen_shannon(p, q), expected)
    torch.testing.assert_close(hellinger(p, q), 1 - ((p + q) / 2).exp().sum(1))
    torch.testing.assert_close(total_variation(p, q), (p.exp() - q.exp()).clamp_min(0).sum(1))
    far = log_soften(torch.tensor([[1e4, 0.0]])), log_soften(torch.tensor([[0.0, 1e4]]))
    assert [f(*far).item() for f in (jensen_shannon, hellinger, total_variation)] == pytest.approx([math.log(2), 1, 1])


@pytest.mark.parametrize(("alpha", "beta"), [(0.7, 0.0), (0.0, 0.7), (0.7, -0.7), (0.0, 0.0)])
def test_the_limits_of_alpha_beta_are_limits(alpha: float, beta: float) -> None:
    p, q = pair()
    near = alpha_beta(p, q, alpha + 2e-3, beta + 3e-3)
    torch.testing.assert_close(alpha_beta(p, q, alpha, beta), near, rtol=2e-2, atol=1e-4)


def test_alpha_beta_is_kl_both_ways_and_four_times_hellinger() -> None:
    p, q = pair()
    torch.testing.assert_close(alpha_beta(p, q, 1.0, 0.0), kl(p, q))
    torch.testing.assert_close(alpha_beta(p, q, 0.0, 1.0), kl(q, p))
    torch.testing.assert_close(alpha_beta(p, q, 0.5, 0.5), 4 * hellinger(p, q))


def test_kl_is_that_of_the_target_and_the_others_times_their_share() -> None:
    student, teacher = (torch.randn(3, 4).double() for _ in range(2))
    labels = torch.tensor([0, 3, 1])
    target, others = decoupled_kl(student, teacher, labels, 2.0)
    p, q = log_soften(teacher, 2.0), log_soften(student, 2.0)
    share = 1 - p.exp().gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(target + share * others, kl(p, q))


def test_what_can_only_move_one_way_costs_that() -> None:
    mine, its = torch.tensor([[1.0, 0.0, 0.0]]).double(), torch.tensor([[0.0, 0.25, 0.75]]).double()
    moves = torch.tensor([[[0.0, 0.4, 0.8], [0.4, 0.0, 0.4], [0.8, 0.4, 0.0]]]).double()
    value = transport_cost(mine, its, moves, regularisation=0.2, iterations=50)
    assert value.item() == pytest.approx(0.25 * 0.4 + 0.75 * 0.8, rel=1e-5)
