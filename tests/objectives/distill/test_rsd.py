from __future__ import annotations

import inspect
import math

import pytest
import torch

from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.rsd import RSD, rsd_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_vectors


def standardised(rows: list[list[float]]) -> list[list[float]]:
    columns = list(zip(*rows, strict=True))
    means = [sum(column) / len(column) for column in columns]
    spreads = [math.sqrt(sum((x - m) ** 2 for x in c) / len(c)) for c, m in zip(columns, means, strict=True)]
    return [[(x - m) / (s + 1e-5) for x, m, s in zip(row, means, spreads, strict=True)] for row in rows]


def test_definition() -> None:
    student, teacher = closed_form_vectors(3, 0.2), closed_form_vectors(3, 1.0)
    mine, its = standardised(student.tolist()), standardised(teacher.tolist())
    total = 0.0
    for d in range(3):
        for e in range(3):
            entry = sum(its[b][d] * mine[b][e] for b in range(4)) / 4
            total += (entry - 1) ** 2 if d == e else 0.05 * entry**2
    assert rsd_loss(student, teacher, decorrelation=0.05).item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("rsd", number, rsd_loss)


def test_by_hand() -> None:
    """The second feature is the first one's negative: P = (1, -1; 1, -1)."""
    student, teacher = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert rsd_loss(student, teacher, decorrelation=0.5).item() == pytest.approx(4 + 0.5 * 2, rel=1e-4)


def test_shift_and_scale_do_not_matter() -> None:
    student, teacher = closed_form_vectors(3, 0.2), closed_form_vectors(3, 1.0)
    torch.testing.assert_close(rsd_loss(9 * student + 4, teacher), rsd_loss(student, teacher), rtol=1e-3, atol=1e-5)


def test_one_row_has_no_correlations_and_is_skipped_in_training() -> None:
    one = torch.randn(1, 4)
    assert rsd_loss(one, one).item() == 4
    objective = built()
    with pytest.warns(UserWarning, match="rsd skips a batch of one"):
        assert objective(torch.randn(1, 3), torch.randn(1, 5)).item() == 0


def built() -> RSD:
    objective = RSD(expansion=3)
    student, teacher = (Outputs(torch.zeros(2, 2), {"pooled": torch.zeros(2, width)}) for width in (3, 5))
    objective.build(BuildContext(2, 2, student, teacher))
    return objective


def test_the_projector_is_as_wide_as_the_teacher() -> None:
    objective = built()
    assert objective.projector(torch.randn(4, 3)).shape == (4, 5)
    assert objective.notes() == ("a projector of 90 parameters, dropped at the end",)  # 3 x 9, 2 x 9, 9 x 5


def test_gradcheck() -> None:
    student, teacher = closed_form_vectors(3, 0.2), closed_form_vectors(3, 1.0)
    assert torch.autograd.gradcheck(lambda x: rsd_loss(x, teacher), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 4\) differ \(after the projector\)"):
        inspect.unwrap(rsd_loss)(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="expansion: 0 is below 1"):
        RSD(expansion=0)
