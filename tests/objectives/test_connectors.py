from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from preceptor.objectives.connectors import Regressor, pool_to, pool_to_smaller


@pytest.mark.parametrize(
    ("student", "teacher", "kernel"),
    [
        ((3, 8, 8), (5, 4, 4), (3, 3)),  # twice the side: stride 2
        ((3, 4, 4), (5, 8, 8), (4, 4)),  # half the side: transposed
        ((3, 8, 8), (5, 8, 8), (1, 1)),
        ((3, 8, 6), (5, 6, 5), (3, 2)),  # eats the difference
        ((3, 4, 4), (5, 7, 7), (1, 1)),  # interpolated first
        ((3, 3, 9), (5, 6, 4), (1, 1)),
    ],
)
def test_the_regressor_gives_the_teachers_shape(
    student: tuple[int, ...], teacher: tuple[int, ...], kernel: tuple[int, int]
) -> None:
    regressor = Regressor(student, teacher, relu=True)
    assert regressor(torch.randn(2, *student)).shape == (2, *teacher)
    conv = regressor.layers[0]
    assert isinstance(conv, torch.nn.Conv2d | torch.nn.ConvTranspose2d)
    assert conv.kernel_size == kernel


def test_the_last_relu_can_be_left_off() -> None:
    inputs = torch.randn(8, 3, 4, 4)
    assert (Regressor((3, 4, 4), (5, 4, 4), relu=True)(inputs) >= 0).all()
    assert (Regressor((3, 4, 4), (5, 4, 4), relu=False)(inputs) < 0).any()


def test_pooling_to_a_size_one_has_changes_nothing() -> None:
    maps = torch.randn(2, 3, 4, 5)
    assert pool_to(maps, (4, 5)) is maps
    torch.testing.assert_close(pool_to(maps, (1, 1))[:, :, 0, 0], maps.mean((2, 3)))


@pytest.mark.parametrize("size", [(4, 4), (2, 3), (1, 2), (1, 1), (5, 3)])
def test_pooling_is_torchs_adaptive_pooling_bit_for_bit(size: tuple[int, int]) -> None:
    ours = torch.randn(3, 2, 8, 12).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    pooled, expected = pool_to(ours, size), functional.adaptive_avg_pool2d(theirs, size)
    assert torch.equal(pooled, expected)
    direction = torch.randn_like(pooled)
    gradients = [torch.autograd.grad(*pair, direction)[0] for pair in ((pooled, ours), (expected, theirs))]
    assert torch.equal(*gradients)


def test_the_smaller_side_counts_height_and_width_apart() -> None:
    tall, wide = torch.randn(2, 3, 8, 2), torch.randn(2, 5, 4, 6)
    one, other = pool_to_smaller(tall, wide)
    torch.testing.assert_close(one, tall.reshape(2, 3, 4, 2, 2).mean(3))
    torch.testing.assert_close(other, wide.reshape(2, 5, 4, 2, 3).mean(4))
