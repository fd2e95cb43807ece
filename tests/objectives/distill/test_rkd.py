from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from preceptor.objectives.distill import rkd
from preceptor.objectives.distill.rkd import RKD, rkd_loss
from vectors import assert_golden, closed_form_vectors


def smooth_l1(difference: float) -> float:
    return 0.5 * difference**2 if abs(difference) < 1 else abs(difference) - 0.5


def slow(student: Tensor, teacher: Tensor, distance_weight: float, angle_weight: float) -> float:
    tables, cosines = [], []
    for embedding in (student, teacher):
        points = embedding.tolist()
        n = len(points)
        distance = [[math.dist(points[i], points[j]) for j in range(n)] for i in range(n)]
        positive = [d for row in distance for d in row if d > 0]
        mean = sum(positive) / len(positive)
        tables.append([d / mean for row in distance for d in row])
        for i in range(n):
            for j in range(n):
                for k in range(n):
                    if distance[i][j] and distance[i][k]:
                        dot = sum((a - o) * (b - o) for o, a, b in zip(points[i], points[j], points[k], strict=True))
                        cosines.append(dot / distance[i][j] / distance[i][k])
                    else:
                        cosines.append(0.0)
    n = len(student)
    half = len(cosines) // 2
    d = sum(smooth_l1(s - t) for s, t in zip(*tables, strict=True)) / n**2
    a = sum(smooth_l1(s - t) for s, t in zip(cosines[:half], cosines[half:], strict=True)) / n**3
    return distance_weight * d + angle_weight * a


@pytest.mark.parametrize("weights", [(25.0, 50.0), (1.0, 0.0), (0.0, 1.0)])
def test_definition(weights: tuple[float, float]) -> None:
    student, teacher = closed_form_vectors(7, 0.2), closed_form_vectors(5, 1.0)
    value = rkd_loss(student, teacher, distance_weight=weights[0], angle_weight=weights[1])
    assert value.item() == pytest.approx(slow(student, teacher, *weights), rel=1e-6)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("rkd", number, rkd_loss)


@pytest.mark.parametrize(
    ("weights", "expected"), [((25, 50), 0.1253923144), ((1, 0), 0.00164926227), ((0, 1), 0.001683215152)]
)
def test_tabulated(weights: tuple[float, float], expected: float) -> None:
    student, teacher = closed_form_vectors(7, 0.2), closed_form_vectors(7, 1.0)
    value = rkd_loss(student, teacher, distance_weight=weights[0], angle_weight=weights[1])
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_by_hand() -> None:
    """Three points in a row at 0, 1, 2 against 0, 1, 3: distances over their means 4/3 and 2."""
    student, teacher = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0], [3.0]])
    differences = [3 / 4 - 1 / 2, 3 / 2 - 3 / 2, 3 / 4 - 2 / 2]
    expected = 2 * sum(smooth_l1(d) for d in differences) / 9
    value = rkd_loss(student, teacher, distance_weight=1.0, angle_weight=1.0)
    assert value.item() == pytest.approx(expected, rel=1e-5)  # all angles are 0 or 180 degrees in both


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(0, 6), shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
def test_rotation_shift_and_scale_do_not_matter(angle: float, shift: float, scale: float) -> None:
    student, teacher = closed_form_vectors(2, 0.2), closed_form_vectors(5, 1.0)
    rotation = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
    moved = scale * student @ rotation + shift
    torch.testing.assert_close(rkd_loss(moved, teacher), rkd_loss(student, teacher), rtol=1e-6, atol=1e-8)
    assert rkd_loss(moved, student).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_duplicates_in_the_batch_are_safe(dtype: torch.dtype) -> None:
    student = torch.ones(4, 3, dtype=dtype, requires_grad=True)
    value = rkd_loss(student, torch.randn(4, 5, dtype=dtype))
    value.backward()
    assert torch.isfinite(value)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_one_sample_has_no_relations() -> None:
    student = torch.randn(1, 3, requires_grad=True)
    with pytest.warns(UserWarning, match="batch of one"):
        value = RKD()(student, torch.randn(1, 5))
    value.backward()
    assert value.item() == 0
    assert student.grad is not None
    assert student.grad.abs().sum() == 0


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = torch.randn(9, 7).double().requires_grad_(), torch.randn(9, 5).double()
    at_once = rkd_loss(student, teacher)
    (gradient,) = torch.autograd.grad(at_once, student)
    monkeypatch.setattr(rkd, "_CHUNK_NUMBERS", 2 * 9 * 9)
    in_chunks = rkd_loss(student, teacher)
    torch.testing.assert_close(in_chunks, at_once)
    torch.testing.assert_close(torch.autograd.grad(in_chunks, student)[0], gradient)


def test_nothing_larger_than_the_inputs_is_kept_for_the_backward_pass() -> None:
    student = torch.randn(256, 512, requires_grad=True)  # 256 x 256 x 512 floats would be 134 MB, twice with gradients
    largest = 0

    def note(storage: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, storage.numel())
        return storage

    with torch.autograd.graph.saved_tensors_hooks(note, lambda storage: storage):
        rkd_loss(student, torch.randn(256, 512)).backward()
    assert largest == 256 * 512


def test_gradcheck() -> None:
    student, teacher = closed_form_vectors(3, 0.2), closed_form_vectors(4, 1.0)
    assert torch.autograd.gradcheck(lambda e: rkd_loss(e, teacher), student.requires_grad_())


def test_two_samples_that_coincide_have_no_huge_gradient() -> None:
    """The derivative of a direction of length 0 does not exist; a clamp would make it 1e12."""
    torch.manual_seed(0)
    student = torch.randn(6, 4)
    student[1] = student[0]
    rkd_loss(student.requires_grad_(), torch.randn(6, 5)).backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 100


def test_batches_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match="batches of 4 and 5"):
        inspect.unwrap(rkd_loss)(torch.zeros(4, 3), torch.zeros(5, 3))
