from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.objectives.distill import METHODS
from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.distill.mlkd import MLKD, mlkd_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden, closed_form_logits

THETA = (4.0, 3.0, 5.0, 2.0, 6.0)


def relations(student: torch.Tensor, teacher: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
    p, q = (torch.softmax(z / t, 1) for z in (student, teacher))
    return (q.T @ q - p.T @ p).square(), (q @ q.T - p @ p.T).square()


def test_definition() -> None:
    student, teacher, _ = closed_form_logits()
    total = 0.0
    for t in (4.0, 2.5):
        classes, samples = relations(student, teacher, t)
        total += float(kd_loss(student, teacher, temperature=t) + classes.sum() / 5 + samples.sum() / 4)
    assert mlkd_loss(student, teacher, temperatures=(4.0, 2.5)).item() == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("mlkd", number, mlkd_loss)


def test_by_hand() -> None:
    """One sample, two classes, t = 1: (1, 0) against (1/2, 1/2) up to e^-50."""
    value = mlkd_loss(torch.zeros(1, 2), torch.tensor([[50.0, 0.0]]), temperatures=(1.0,))
    relations = (0.75**2 + 3 * 0.25**2) / 2 + 0.5**2
    assert value.item() == pytest.approx(0.693147 + relations, rel=1e-5)


def step(labels: torch.Tensor | None) -> Step:
    student, teacher, _ = closed_form_logits()
    mine = Outputs(student, views={"strong": Outputs(student.flip(1))})
    its = Outputs(teacher, views={"strong": Outputs(teacher.roll(1, 1))})
    batch = Batch(torch.zeros(4, 1), labels, torch.arange(4), View("none", 0, 1))
    return Step(batch, mine, its, torch.nn.Identity(), Progress(1, 1, 0.0))


def test_the_released_form_is_the_authors_total() -> None:
    """Weights .9 for the method and .1 for the companion's cross-entropy, which here leaves the strong view's to the method."""
    example = step(torch.arange(4))
    assert example.teacher is not None
    (weak, strong), (its, its_strong) = (
        (side.logits, side.views["strong"].logits) for side in (example.student, example.teacher)
    )
    surety, expected = its.softmax(1).max(1).values, its.softmax(1).sum(0)
    samples, classes = ((v <= v.quantile(0.5)).double().mean() for v in (surety, expected))
    total = 0.1 * functional.cross_entropy(strong, torch.arange(4))
    total += 0.9 * samples * sum(kd_loss(weak, its, temperature=t) for t in THETA)
    total += 0.9 * sum(kd_loss(strong, its_strong, temperature=t) for t in (4.0, 3.0, 5.0))
    total += 0.9 * sum(kd_loss(weak, its, temperature=t) for t in (2.0, 6.0))
    for t in THETA:
        by_class, by_sample = relations(weak, its, t)
        total += 0.9 * (classes * by_class.sum() / 5 + samples * by_sample.sum() / 4)
    assert 0.9 * MLKD().loss(example).item() == pytest.approx(total.item(), rel=1e-8)


def test_the_papers_form_masks_samples_and_classes_one_by_one() -> None:
    example = step(None)
    assert example.teacher is not None
    total = torch.zeros((), dtype=torch.float64)
    for mine, its, masked in (
        (example.student.logits, example.teacher.logits, True),
        (example.student.views["strong"].logits, example.teacher.views["strong"].logits, False),
    ):
        surety, expected = its.softmax(1).max(1).values, its.softmax(1).sum(0)
        kept, classes = surety <= surety.quantile(0.5), expected <= expected.quantile(0.5)
        for t in THETA:
            rows = [float(kd_loss(mine[i : i + 1], its[i : i + 1], temperature=t)) for i in range(4)]
            total += sum(row for row, keep in zip(rows, kept, strict=True) if keep or not masked) / 4
            by_class, by_sample = relations(mine, its, t)
            total += by_class[classes].sum() / 5 + by_sample[kept].sum() / 4
    assert MLKD(form="paper").loss(example).item() == pytest.approx(total.item(), rel=1e-8)


def test_without_labels_the_strong_views_cross_entropy_is_left_out() -> None:
    strong = step(None).student.views["strong"].logits
    apart = MLKD().loss(step(torch.arange(4))) - MLKD().loss(step(None))
    torch.testing.assert_close(apart, functional.cross_entropy(strong, torch.arange(4)) / 9)


def test_by_name_it_comes_with_the_weights_of_the_released_total() -> None:
    """With these the strong view's cross-entropy, 1/9 inside the method, weighs as much as the weak view's beside it."""
    entry = METHODS["mlkd"]
    assert entry.objective is MLKD
    assert entry.companions == {"cross_entropy": 0.1}
    assert entry.weight == 0.9


def test_constants_added_to_rows_and_the_order_of_classes_do_not_matter() -> None:
    student, teacher, _ = closed_form_logits()
    shift, order = torch.tensor([[1.0], [-20.0], [3.0], [0.5]]).double(), torch.tensor([3, 0, 4, 1, 2])
    expected = mlkd_loss(student, teacher)
    torch.testing.assert_close(mlkd_loss(student + shift, teacher - shift), expected)
    torch.testing.assert_close(mlkd_loss(student[:, order], teacher[:, order]), expected)


def test_it_asks_for_the_strong_view() -> None:
    assert MLKD().views() == ("strong",)


def test_gradcheck() -> None:
    student, teacher, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda logits: mlkd_loss(logits, teacher), student.requires_grad_())


def test_errors() -> None:
    student, teacher, _ = closed_form_logits()
    with pytest.raises(ValueError, match="temperatures: needs at least one"):
        mlkd_loss(student, teacher, temperatures=())
    with pytest.raises(ValueError, match=r"temperatures: 0\.0 is not above 0"):
        mlkd_loss(student, teacher, temperatures=(1.0, 0.0))
    with pytest.raises(ValueError, match="form: unknown 'both'; there are released, paper"):
        inspect.unwrap(MLKD.__init__)(MLKD.__new__(MLKD), form="both")
    example = step(None)
    with pytest.raises(UsageError, match="mlkd needs the teacher's outputs for the view strong, and there are none"):
        MLKD().loss(replace(example, teacher=Outputs(teacher)))
    with pytest.raises(UsageError, match="mlkd needs the student's outputs for the view strong"):
        MLKD().loss(replace(example, student=Outputs(student)))
