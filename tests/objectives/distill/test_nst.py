from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.objectives.distill.nst import NST, nst_loss
from vectors import assert_golden, closed_form_map, offer


@pytest.mark.parametrize("channels", [3, 5])  # fewer than positions, and more
def test_definition(channels: int) -> None:
    student, teacher = closed_form_map(channels, 2, 2, 0.1), closed_form_map(2, 2, 2, 0.8)

    def kernel(one: torch.Tensor, other: torch.Tensor) -> float:
        total = 0.0
        for b in range(4):
            for c in range(one.shape[1]):
                for d in range(other.shape[1]):
                    u, v = one[b, c].flatten(), other[b, d].flatten()
                    total += float(u @ v / (u.norm() * v.norm())) ** 2
        return total / (4 * one.shape[1] * other.shape[1])

    expected = kernel(teacher, teacher) + kernel(student, student) - 2 * kernel(student, teacher)
    assert nst_loss([student], [teacher]).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("nst", number, nst_loss)


def test_tabulated() -> None:
    value = nst_loss([closed_form_map(6, 4, 4, 0.1)], [closed_form_map(8, 4, 4, 0.8)])
    assert value.item() == pytest.approx(0.03000518439, rel=1e-8)


def test_by_hand() -> None:
    """One channel each, orthogonal: 1 + 1 - 0."""
    one = torch.tensor([[[[1.0, 0.0]]]])
    assert nst_loss([one], [one.flip(-1)]).item() == 2.0


def test_order_and_scale_of_channels_do_not_matter() -> None:
    student, teacher = closed_form_map(3, 4, 4, 0.1), closed_form_map(5, 4, 4, 0.8)
    scales = torch.tensor([0.1, 5.0, 2.0]).double()[:, None, None]
    changed = (scales * student)[:, [2, 0, 1]]
    torch.testing.assert_close(nst_loss([changed], [teacher]), nst_loss([student], [teacher]))


def test_the_larger_side_is_pooled() -> None:
    student, teacher = closed_form_map(3, 4, 2, 0.1), closed_form_map(3, 2, 4, 0.8)
    pooled = [functional.adaptive_avg_pool2d(maps, (2, 2)) for maps in (student, teacher)]
    torch.testing.assert_close(nst_loss([student], [teacher]), nst_loss([pooled[0]], [pooled[1]]))


def test_zero_maps_are_safe() -> None:
    student = torch.zeros(2, 3, 4, 4, requires_grad=True)
    nst_loss([student], [torch.zeros(2, 3, 4, 4)]).backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("channels", [2, 7])
def test_gradcheck(channels: int) -> None:
    student, teacher = closed_form_map(channels, 2, 3, 0.1), closed_form_map(3, 2, 3, 0.8)
    assert torch.autograd.gradcheck(lambda maps: nst_loss([maps], [teacher]), student.requires_grad_())


def test_errors() -> None:
    with pytest.raises(ValueError, match="0 and 0 levels"):
        nst_loss([], [])
    with pytest.raises(UsageError, match="method nst needs feature maps, and the teacher offers none"):
        NST().taps(offer("block1"), {})
