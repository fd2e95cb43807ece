from __future__ import annotations

import math

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.objectives.distill.pkt import PKT, pkt_loss
from vectors import assert_golden, closed_form_vectors, offer


def test_definition() -> None:
    student, teacher = closed_form_vectors(7, 0.2), closed_form_vectors(5, 1.0)
    rows = []
    for x in (student, teacher):
        unit = [x[i] / (float(x[i].norm()) + 1e-7) for i in range(4)]
        similarity = [[(float(unit[i] @ unit[j]) + 1) / 2 for j in range(4)] for i in range(4)]
        rows.append([[value / sum(row) for value in row] for row in similarity])
    total = sum(
        rows[1][i][j] * math.log((rows[1][i][j] + 1e-7) / (rows[0][i][j] + 1e-7)) for i in range(4) for j in range(4)
    )
    assert pkt_loss(student, teacher).item() == pytest.approx(total / 16, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("pkt", number, pkt_loss)


def test_tabulated() -> None:
    value = pkt_loss(closed_form_vectors(7, 0.2), closed_form_vectors(7, 1.0))
    assert value.item() == pytest.approx(0.002316696849, rel=1e-8)


def test_by_hand() -> None:
    """Orthogonal to the teacher (rows 2/3, 1/3), equal to the student (rows 1/2, 1/2)."""
    teacher, student = torch.eye(2), torch.ones(2, 3)
    expected = (2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)) / 2
    assert pkt_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_scales_of_samples_and_a_common_rotation_do_not_matter() -> None:
    student, teacher = closed_form_vectors(7, 0.2), closed_form_vectors(7, 1.0)
    turned = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    scales = torch.tensor([[0.5], [1.0], [20.0], [3.0]], dtype=torch.float64)
    torch.testing.assert_close(
        pkt_loss(scales * student @ turned, teacher), pkt_loss(student, teacher), rtol=1e-5, atol=0
    )


def test_zero_vectors_are_safe() -> None:
    student = torch.zeros(3, 4, requires_grad=True)
    value = pkt_loss(student, torch.zeros(3, 2))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-7)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_gradcheck() -> None:
    student, teacher = closed_form_vectors(3, 0.2), closed_form_vectors(5, 1.0)
    assert torch.autograd.gradcheck(lambda x: pkt_loss(x, teacher), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(UsageError, match="method pkt needs feature pooled of the teacher, which offers block1"):
        PKT().taps(offer("pooled"), offer("block1"))
