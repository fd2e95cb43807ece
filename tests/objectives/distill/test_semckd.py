from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.semckd import SemCKD, semckd_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import closed_form_map, offer


def test_definition() -> None:
    teacher = [closed_form_map(2, 2, 2, 0.8), closed_form_map(3, 4, 4, 1.1)]
    projected = [[closed_form_map(2, 2, 2, 0.1 * i), closed_form_map(3, 4, 4, 0.2 * i)] for i in (1, 2, 3)]
    attention = torch.rand(4, 3, 2, dtype=torch.float64).softmax(2)
    total = 0.0
    for b in range(4):
        for i in range(3):
            for j in range(2):
                error = (projected[i][j][b] - teacher[j][b]).square().mean()
                total += float(attention[b, i, j] * error)
    assert semckd_loss(projected, teacher, attention).item() == pytest.approx(total / 12, rel=1e-10)


def test_by_hand() -> None:
    """Two samples, one student map, errors 1 and 4 of two teacher maps with attention 3/4 and 1/4."""
    zero = torch.zeros(2, 1, 1, 1)
    attention = torch.tensor([[[0.75, 0.25]]]).expand(2, 1, 2)
    assert semckd_loss([[zero + 1, zero + 2]], [zero, zero], attention).item() == pytest.approx(1.75)


def test_the_larger_side_is_pooled() -> None:
    student, teacher = closed_form_map(2, 4, 2, 0.1), closed_form_map(2, 2, 4, 0.8)
    pooled = [functional.adaptive_avg_pool2d(maps, (2, 2)) for maps in (student, teacher)]
    ones = torch.ones(4, 1, 1)
    torch.testing.assert_close(semckd_loss([[student]], [teacher], ones), semckd_loss([[pooled[0]]], [pooled[1]], ones))


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 2, 3, 0.1), closed_form_map(2, 2, 3, 0.8)
    attention = torch.rand(4, 1, 1, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda maps, weights: semckd_loss([[maps]], [teacher], weights),
        (student.requires_grad_(), attention.requires_grad_()),
    )


def built(batch_size: int = 8) -> tuple[SemCKD, Step]:
    torch.manual_seed(0)
    objective = SemCKD()
    names = [("block1", "block2"), ("block1", "block2", "block3")]
    assert objective.taps(offer(*names[0]), offer(*names[1])) == Taps(*names)
    student_outputs, teacher_outputs = (
        Outputs(
            torch.zeros(8, 3),
            {name: torch.randn(8, channels + k, 8 >> k, 8 >> k) for k, name in enumerate(side)},
        )
        for side, channels in zip(names, (4, 6), strict=True)
    )
    objective.build(BuildContext(10, 3, student_outputs, teacher_outputs, batch_size=batch_size))
    batch = Batch(torch.zeros(8, 1), None, torch.arange(8), View("none", 0, 1))
    return objective, Step(batch, student_outputs, teacher_outputs, torch.nn.Identity(), Progress(1, 1, 0.0))


def test_attention_is_a_distribution_over_the_teachers_maps_for_each_sample() -> None:
    objective, step = built()
    assert step.teacher is not None
    attention = objective._attention(list(step.student.features.values()), list(step.teacher.features.values()))
    assert attention.shape == (8, 2, 3)
    torch.testing.assert_close(attention.sum(2), torch.ones(8, 2))
    query = functional.normalize(objective.queries[0](_gram(step.student.features["block1"])))
    keys = [
        functional.normalize(k(_gram(m))) for k, m in zip(objective.keys, step.teacher.features.values(), strict=True)
    ]
    expected = torch.stack([(query * key).sum(1) for key in keys], 1).softmax(1)
    torch.testing.assert_close(attention[:, 0], expected)


def _gram(maps: torch.Tensor) -> torch.Tensor:
    return maps.flatten(1) @ maps.flatten(1).T


def test_all_of_it_trains() -> None:
    objective, step = built()
    objective.loss(step).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in objective.parameters())
    assert len(objective.projectors) == 6


def test_a_batch_of_another_size_is_skipped() -> None:
    objective, step = built(batch_size=16)
    maps = step.student.features["block1"]
    maps[0, 0, 0, 0] = float("inf")  # not even then is it anything but 0
    value = objective.loss(
        replace(
            step, student=replace(step.student, features={**step.student.features, "block1": maps.requires_grad_()})
        )
    )
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0
    assert maps.grad is not None
    assert maps.grad.abs().sum() == 0
    assert objective.notes() == ("attention is made for batches of 16; others are skipped",)


def test_errors() -> None:
    plain, maps = inspect.unwrap(semckd_loss), torch.zeros(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"shape \(2, 1, 4, 4\) for a teacher's map \(2, 3, 4, 4\)"):
        plain([[maps[:, :1]]], [maps], torch.ones(2, 1, 1))
    with pytest.raises(ValueError, match=r"attention: shape \(2, 1, 2\), expected \(2, 1, 1\)"):
        plain([[maps]], [maps], torch.ones(2, 1, 2))
    with pytest.raises(ValueError, match="softness: 0 is not above 0"):
        SemCKD(softness=0)
    with pytest.raises(UsageError, match="semckd needs feature maps, and the teacher offers pooled"):
        SemCKD().taps(offer("block1"), offer("pooled"))
