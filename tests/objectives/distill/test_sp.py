from __future__ import annotations

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.objectives.base import Taps
from preceptor.objectives.distill.sp import SP, sp_loss
from vectors import assert_golden, closed_form_map, offer


def test_definition() -> None:
    student, teacher = closed_form_map(3, 2, 4, 0.1), closed_form_map(5, 4, 2, 0.8)
    grams = []
    for maps in (student, teacher):
        flat = maps.reshape(4, -1)
        gram = [[float(flat[i] @ flat[j]) for j in range(4)] for i in range(4)]
        grams.append([[value / sum(v * v for v in row) ** 0.5 for value in row] for row in gram])
    total = sum((grams[0][i][j] - grams[1][i][j]) ** 2 for i in range(4) for j in range(4))
    assert sp_loss(student, teacher).item() == pytest.approx(total / 16, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("sp", number, sp_loss)


def test_tabulated() -> None:
    value = sp_loss(closed_form_map(6, 4, 4, 0.1), closed_form_map(6, 4, 4, 0.8))
    assert value.item() == pytest.approx(0.003057796744, rel=1e-8)


def test_by_hand() -> None:
    """Nobody alike against all alike: rows (1, 0) and (1, 1) / sqrt 2."""
    expected = (2 * (1 - 2**-0.5) ** 2 + 2 * 0.5) / 4
    assert sp_loss(torch.eye(2), torch.ones(2, 3)).item() == pytest.approx(expected, rel=1e-6)


def test_a_common_scale_and_a_turn_of_features_do_not_matter() -> None:
    student, teacher = closed_form_map(3, 2, 2, 0.1), closed_form_map(5, 2, 2, 0.8)
    turn = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    torch.testing.assert_close(sp_loss(9 * student.reshape(4, -1) @ turn, teacher), sp_loss(student, teacher))


def test_zero_maps_are_safe() -> None:
    student = torch.zeros(2, 3, 4, 4, requires_grad=True)
    sp_loss(student, torch.zeros(2, 3, 4, 4)).backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 2, 2, 0.1), closed_form_map(3, 2, 2, 0.8)
    assert torch.autograd.gradcheck(lambda maps: sp_loss(maps, teacher), student.requires_grad_())


def test_the_last_maps_or_the_users() -> None:
    names = offer("stem", "block1", "block2")
    assert SP().taps(names, names) == Taps(("block2",), ("block2",))
    assert SP(pairs={"a.b": "c.d", "e.f": "g.h"}).taps({}, {}) == Taps(("a.b", "e.f"), ("c.d", "g.h"))
    with pytest.raises(UsageError, match="method sp needs feature maps, and the student offers pooled"):
        SP().taps(offer("pooled"), names)
