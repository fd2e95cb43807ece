from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.kdsvd import KDSVD, kdsvd_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_map, offer


def some_maps(seed: int, positive: bool = True) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    draw = torch.rand if positive else torch.randn
    return [
        draw(3, c, *size, generator=random, dtype=torch.float64) for c, size in ((4, (5, 3)), (6, (2, 4)), (5, (3, 3)))
    ]


def reference(student: list[Tensor], teacher: list[Tensor]) -> float:
    """With numpy's singular value decomposition, one sample at a time."""
    total = 0.0
    for b in range(len(student[0])):
        mine, its = [], []
        for s, t in zip(student, teacher, strict=True):
            target = np.linalg.svd(t[b].flatten(1).T.numpy(), full_matrices=False)[2][0]
            target = target * (1 if target.sum() >= 0 else -1)
            candidates = np.linalg.svd(s[b].flatten(1).T.numpy(), full_matrices=False)[2][:4]
            best = max(candidates, key=lambda v: abs(v @ target))
            mine.append(best * (1 if best @ target >= 0 else -1))
            its.append(target)
        for k in range(1, len(mine)):
            kernels = [np.exp(-((v[k][:, None] - v[k - 1][None, :]) ** 2) / 8) for v in (mine, its)]
            total += float(((kernels[0] - kernels[1]) ** 2).sum())
    return total / len(student[0])


@pytest.mark.parametrize("positive", [True, False])
def test_definition(positive: bool) -> None:
    student, teacher = some_maps(0, positive), some_maps(1, positive)
    assert kdsvd_loss(student, teacher).item() == pytest.approx(reference(student, teacher), rel=1e-6)


@pytest.mark.parametrize("positions", [1, 2, 3])
def test_a_map_has_no_more_vectors_than_positions(positions: int) -> None:
    """Beyond them any direction at right angles would do, and which one comes out is chance."""
    torch.manual_seed(0)
    student, teacher = ([torch.randn(3, c, 1, n).double() for c, n in ((6, 6), (8, positions))] for _ in range(2))
    assert kdsvd_loss(student, teacher).item() == pytest.approx(reference(student, teacher), rel=1e-6)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("kdsvd", number, kdsvd_loss)


def test_by_hand() -> None:
    """The teacher's vectors are e0 and e0; the student's second map has e1 to e4, none near e0, so its first counts."""
    first, second = torch.zeros(1, 6, 2, 2), torch.zeros(1, 6, 2, 2)
    first[:, 0] = 1
    for k in range(4):
        second[0, 1 + k, k // 2, k % 2] = 4 - k
    apart = 2 * 6 * (1 - np.exp(-1 / 8)) ** 2  # rows 0 and 1 of the 6 x 6 kernel differ, by that much in each entry
    assert kdsvd_loss([first, second], [first, first]).item() == pytest.approx(apart, rel=1e-5)


def test_scale_of_a_sample_and_signs_do_not_matter() -> None:
    student, teacher = some_maps(0), some_maps(1)
    torch.testing.assert_close(kdsvd_loss([-7 * m for m in student], teacher), kdsvd_loss(student, teacher))
    torch.testing.assert_close(kdsvd_loss(student, [-m for m in teacher]), kdsvd_loss(student, teacher))


def test_samples_do_not_mix() -> None:
    student, teacher = some_maps(0), some_maps(1)
    alone = [kdsvd_loss([m[b : b + 1] for m in student], [m[b : b + 1] for m in teacher]) for b in range(3)]
    torch.testing.assert_close(kdsvd_loss(student, teacher), torch.stack(alone).mean())


def test_sizes_may_differ_and_be_oblong() -> None:
    student = [closed_form_map(3, 4, 2, 0.1), closed_form_map(4, 2, 3, 0.3)]
    teacher = [closed_form_map(3, 2, 2, 0.8), closed_form_map(4, 5, 3, 1.1)]
    assert torch.isfinite(kdsvd_loss(student, teacher))


def test_gradcheck() -> None:
    student, teacher = [m.requires_grad_() for m in some_maps(0)], some_maps(1)
    assert torch.autograd.gradcheck(lambda *maps: kdsvd_loss(maps, teacher), student, atol=1e-6)


def test_equal_singular_values_and_zero_maps_have_a_finite_gradient() -> None:
    equal = torch.eye(4, dtype=torch.float64).reshape(1, 4, 2, 2).requires_grad_()
    zero = torch.zeros(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    teacher = [torch.rand(1, 4, 2, 2, dtype=torch.float64), torch.rand(1, 3, 2, 2, dtype=torch.float64)]
    kdsvd_loss([equal, zero], teacher).backward()
    for maps in (equal, zero):
        assert maps.grad is not None
        assert torch.isfinite(maps.grad).all()


def test_what_is_not_finite_is_not_hidden() -> None:
    for value in (float("nan"), float("inf")):
        student = some_maps(0)
        student[1][0, 0, 0, 0] = value
        student[1].requires_grad_()
        loss = kdsvd_loss(student, some_maps(1))
        loss.backward()
        assert loss.isnan()
        assert student[1].grad is not None
        assert student[1].grad[0].isnan().any()
        assert student[1].grad[1:].isfinite().all()


def test_the_blocks_or_the_users() -> None:
    names = offer("stem", "block1", "block2", "pooled")
    assert KDSVD().taps(names, names) == Taps(("block1", "block2"), ("block1", "block2"))
    own = {"layer1": "blocks.1", "layer2": "blocks.3"}
    assert KDSVD(pairs=own).taps({}, {}) == Taps(tuple(own), tuple(own.values()))


def test_errors() -> None:
    maps = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 2, 2)]
    with pytest.raises(ValueError, match=r"channels \[2, 3\] and \[3, 2\]; equal, at least two"):
        kdsvd_loss(maps, maps[::-1])
    with pytest.raises(ValueError, match=r"channels \[2\] and \[2\]; equal, at least two"):
        kdsvd_loss(maps[:1], maps[:1])
    with pytest.raises(UsageError, match="kdsvd compares neighbouring maps, not block1 -> block2 alone; name two"):
        KDSVD(pairs={"block1": "block2"}).taps({}, {})
    objective = KDSVD()
    names = offer("block1", "block2")
    objective.taps(names, names)
    outputs = [Outputs(torch.zeros(2, 3), {n: torch.zeros(2, c, 4, 4) for n in ("block1", "block2")}) for c in (4, 5)]
    with pytest.raises(UsageError, match="kdsvd needs equal channels, and the student's block1 has 4"):
        objective.build(BuildContext(10, 3, outputs[0], outputs[1]))
