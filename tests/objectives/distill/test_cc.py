from __future__ import annotations

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.cc import CC, cc_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_vectors, offer


def test_definition() -> None:
    student, teacher = closed_form_vectors(7, 0.2), closed_form_vectors(7, 1.0)
    total = 0.0
    for i in range(3):
        for d in range(7):
            total += abs(float(student[i, d] - teacher[i, d])) * abs(float(student[i + 1, d] - teacher[i + 1, d]))
    assert cc_loss(student, teacher).item() == pytest.approx(total / 3, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("cc", number, cc_loss)


def test_tabulated() -> None:
    value = cc_loss(closed_form_vectors(7, 0.2), closed_form_vectors(7, 1.0))
    assert value.item() == pytest.approx(1.428080535, rel=1e-8)


def test_by_hand() -> None:
    assert cc_loss(torch.tensor([[1.0, 0.0], [-3.0, 5.0]]), torch.zeros(2, 2)).item() == 3.0


def test_neighbours_that_are_not_both_off_cost_nothing() -> None:
    student, teacher = closed_form_vectors(7, 0.2), closed_form_vectors(7, 1.0)
    mended = student.clone()
    mended[1], mended[3] = teacher[1], teacher[3]
    assert cc_loss(mended, teacher).item() == 0
    assert cc_loss(mended[[0, 2, 1, 3]], teacher[[0, 2, 1, 3]]).item() > 0  # in another order they are


def test_a_batch_of_one_is_0_and_keeps_the_graph() -> None:
    student = torch.randn(1, 3, requires_grad=True)
    value = cc_loss(student, torch.randn(1, 3))
    value.backward()
    assert value.item() == 0
    assert student.grad is not None


def test_both_embeddings_are_built_from_the_widths_seen_and_train() -> None:
    objective = CC(dim=4)
    mine, its = torch.randn(5, 6, requires_grad=True), torch.randn(5, 9, requires_grad=True)
    outputs = [Outputs(torch.zeros(5, 3), {"pooled": values.detach()}) for values in (mine, its)]
    objective.build(BuildContext(10, 3, outputs[0], outputs[1]))
    assert sum(p.numel() for p in objective.parameters()) == 6 * 4 + 4 + 9 * 4 + 4
    objective(mine, its).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.parameters())
    assert mine.grad is not None
    assert its.grad is None


def test_gradcheck() -> None:
    student, teacher = closed_form_vectors(3, 0.2), closed_form_vectors(3, 1.0)
    assert torch.autograd.gradcheck(cc_loss, (student.requires_grad_(), teacher.requires_grad_()))


def test_errors() -> None:
    with pytest.raises(ValueError, match="dim: 0 is below 1"):
        CC(dim=0)
    with pytest.raises(UsageError, match="method cc needs feature pooled of the student, which offers none"):
        CC().taps({}, offer("pooled"))
