from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.teacher.mcmi import MCMI, Refresh, mcmi_loss
from preceptor.objectives.weighted import Sum
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import closed_form_logits, softmax_rows


def step_of(logits: Tensor, labels: Tensor) -> Step:
    rows = torch.arange(len(labels))
    batch = Batch(torch.zeros(len(labels), 1), labels, rows, View("none", 0, 1))
    return Step(batch, Outputs(logits), None, nn.Identity(), Progress(1, 1, 0.0))


def calibrated(*steps: Step, refresh: Refresh = "none", decay: float = 0.9) -> MCMI:
    objective = MCMI(refresh, decay)
    classes = steps[0].student.logits.shape[1]
    objective.build(BuildContext(10, classes, steps[0].student, None))
    objective.calibrate(steps)
    return objective.train()


def some_steps(classes: int = 4) -> list[Step]:
    random = torch.Generator().manual_seed(0)
    return [
        step_of(3 * torch.randn(n, classes, generator=random), torch.randint(classes - 1, (n,), generator=random))
        for n in (16, 16, 5)
    ]


def test_definition() -> None:
    logits, other, labels = closed_form_logits()
    centroids = torch.softmax(torch.cat([other, other[:1].flip(1)]), 1)
    total = 0.0
    for row, y in zip(softmax_rows(logits), labels.tolist(), strict=True):
        total += sum(p * math.log(p / q) for p, q in zip(row, centroids[y].tolist(), strict=True)) / 4
    assert mcmi_loss(logits, labels, centroids).item() == pytest.approx(total, rel=1e-12)


def test_by_hand() -> None:
    centroids = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    value = mcmi_loss(torch.zeros(2, 2), torch.tensor([0, 1]), centroids)
    assert value.item() == pytest.approx(0.5 * 0.5 * math.log(4 / 3))


def test_centroids_are_the_mean_answers_of_the_classes() -> None:
    steps = some_steps()
    objective = calibrated(*steps)
    logits = torch.cat([step.student.logits for step in steps])
    labels = torch.cat([step.batch.labels for step in steps if step.batch.labels is not None])
    for label in range(3):
        torch.testing.assert_close(objective.centroids[label], logits[labels == label].softmax(1).mean(0))
    torch.testing.assert_close(objective.centroids.sum(1), torch.ones(4))
    torch.testing.assert_close(objective.centroids[3], torch.full((4,), 0.25))  # a class without samples


def test_it_is_not_negative_and_0_at_the_centroids() -> None:
    steps = some_steps()
    objective = calibrated(*steps)
    assert all(objective.loss(step).item() > 0 for step in steps)
    labels = torch.arange(4)
    assert objective(objective.centroids.log(), labels).item() == pytest.approx(0.0, abs=1e-6)


def test_over_the_surveyed_set_it_is_the_mutual_information_given_the_class() -> None:
    """mean_i H(Q_y_i) - mean_i H(p_i): the centroid's entropy is what its class's predictions share and what they differ in."""
    (step,) = some_steps()[:1]
    objective = calibrated(step)
    probabilities, labels = step.student.logits.softmax(1), step.batch.labels
    assert labels is not None
    entropies = [-(q * q.log()).sum(1).mean() for q in (objective.centroids[labels], probabilities)]
    assert objective.loss(step).item() == pytest.approx((entropies[0] - entropies[1]).item(), rel=1e-5)


def test_a_weight_of_0_is_cross_entropy() -> None:
    step = some_steps()[0]
    alone = Sum(cross_entropy=(1.0, CrossEntropy())).loss(step)
    assert torch.equal(Sum(cross_entropy=(1.0, CrossEntropy()), mcmi=(0.0, calibrated(step))).loss(step), alone)


def test_a_centroid_that_rules_a_class_out_costs_no_more_than_its_floor() -> None:
    centroids = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    value = mcmi_loss(torch.tensor([[0.0, 1e4]]), torch.tensor([0]), centroids)
    assert value.item() == pytest.approx(-math.log(1e-12), rel=1e-6)
    sure = step_of(torch.tensor([[1e4, 0.0], [0.0, 1e4]]), torch.tensor([0, 1]))
    assert calibrated(sure).centroids.min().item() == pytest.approx(1e-12, rel=1e-3)


def test_centroids_stay_or_follow_the_batch() -> None:
    first, second, _ = some_steps()
    fixed, moving = calibrated(first), calibrated(first, refresh="ema")
    assert moving.compares_rows
    assert not fixed.compares_rows
    before = fixed.centroids.clone()
    for objective in (fixed, moving):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            objective.loss(second)
    assert torch.equal(fixed.centroids, before)
    probabilities, labels = second.student.logits.softmax(1), second.batch.labels
    assert labels is not None
    for label in range(3):
        expected = 0.9 * before[label] + 0.1 * probabilities[labels == label].mean(0)
        torch.testing.assert_close(moving.centroids[label], expected)
    assert torch.equal(moving.centroids[3], before[3])
    torch.testing.assert_close(moving.centroids.sum(1), torch.ones(4))
    moving.eval().loss(first)
    torch.testing.assert_close(moving.centroids[3], before[3])


def test_centroids_are_restored() -> None:
    one, two = calibrated(*some_steps()), MCMI()
    two.build(BuildContext(10, 4, Outputs(torch.zeros(2, 4)), None))
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.centroids, two.centroids)


def test_gradcheck() -> None:
    logits, other, labels = closed_form_logits()
    centroids = torch.softmax(torch.cat([other, other[:1]]), 1)
    assert torch.autograd.gradcheck(lambda z: mcmi_loss(z, labels, centroids), logits.requires_grad_())


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="refresh: unknown 'sometimes'; there are none, ema"):
        inspect.unwrap(MCMI.__init__)(MCMI(), "sometimes")
    with pytest.raises(ValueError, match=r"decay: 1\.0 is not in \[0, 1\)"):
        MCMI(decay=1.0)
    with pytest.raises(
        ValueError, match=r"mcmi has no centroids yet: call build\(context\) and calibrate\(steps\) first"
    ):
        MCMI()(torch.zeros(1, 2), torch.tensor([0]))
    step = some_steps()[0]
    bare = replace(step, batch=replace(step.batch, labels=None))
    with pytest.raises(UsageError, match="needs labels, and 16 of 16 rows have none"):
        calibrated(bare)
