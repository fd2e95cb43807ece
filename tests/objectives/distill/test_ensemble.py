from __future__ import annotations

import inspect
import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.ensemble import Ensemble, ensemble_loss
from preceptor.objectives.distill.kd import kd_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import closed_form_logits


def step(student: Tensor, teacher: Outputs) -> Step:
    batch = Batch(torch.zeros(4, 1), None, torch.arange(4), View("none", 0, 1))
    return Step(batch, Outputs(student), teacher, torch.nn.Identity(), Progress(1, 1, 0.0))


def test_definition() -> None:
    student, one, _ = closed_form_logits()
    other = one.roll(1, 1)
    weights = (0.25, 0.75)
    mean = 0.25 * torch.softmax(one / 2, 1) + 0.75 * torch.softmax(other / 2, 1)
    p = torch.softmax(student / 2, 1)
    expected = 4 * (mean * (mean.log() - p.log())).sum(1).mean()
    value = ensemble_loss(student, [one, other], weights=(1, 3), temperature=2.0)
    assert value.item() == pytest.approx(float(expected), rel=1e-10)
    losses = sum(w * kd_loss(student, z, temperature=2.0) for w, z in zip(weights, (one, other), strict=True))
    value = ensemble_loss(student, [one, other], weights=weights, mode="loss", temperature=2.0)
    assert value.item() == pytest.approx(float(losses), rel=1e-10)
    value = ensemble_loss(student, [one, other], weights=weights, mode="logit", temperature=2.0)
    assert value.item() == pytest.approx(kd_loss(student, 0.25 * one + 0.75 * other, temperature=2.0).item(), rel=1e-10)


@pytest.mark.parametrize("mode", ["probability", "loss", "logit"])
def test_one_teacher_is_kd(mode: Literal["probability", "loss", "logit"]) -> None:
    student, teacher, _ = closed_form_logits()
    torch.testing.assert_close(ensemble_loss(student, [teacher], mode=mode), kd_loss(student, teacher))


def test_mean_of_losses_has_the_gradient_of_the_mean_distribution() -> None:
    student, one, _ = closed_form_logits()
    gradients = []
    for mode in ("probability", "loss"):
        mine = student.clone().requires_grad_()
        ensemble_loss(mine, [one, one.roll(2, 1)], mode=mode).backward()  # type: ignore[arg-type]
        gradients.append(mine.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_teacher_of_weight_0_does_not_count() -> None:
    student, one, _ = closed_form_logits()
    for mode in ("probability", "loss", "logit"):
        value = ensemble_loss(student, [one, 50 * one.roll(1, 1)], weights=(2, 0), mode=mode)  # type: ignore[arg-type]
        torch.testing.assert_close(value, kd_loss(student, one))


def test_by_hand() -> None:
    """Two sure teachers who disagree: the mean is uniform, and so is the student."""
    teachers = [torch.tensor([[100.0, 0.0]]), torch.tensor([[0.0, 100.0]])]
    assert ensemble_loss(torch.zeros(1, 2), teachers, temperature=1.0).item() == pytest.approx(0, abs=1e-6)
    assert ensemble_loss(torch.zeros(1, 2), teachers, mode="loss", temperature=1.0).item() == pytest.approx(0.693147)


def test_the_order_of_the_teachers_and_the_scale_of_their_weights_do_not_matter() -> None:
    student, one, _ = closed_form_logits()
    other = one.roll(1, 1)
    for mode in ("probability", "loss", "logit"):
        value = ensemble_loss(student, [one, other], weights=(1, 3), mode=mode)  # type: ignore[arg-type]
        turned = ensemble_loss(student, [other, one], weights=(30, 10), mode=mode)  # type: ignore[arg-type]
        torch.testing.assert_close(turned, value)


def test_the_mean_of_losses_exceeds_that_of_distributions_by_what_the_teachers_disagree() -> None:
    """The gap is temperature^2 times the mean KL of the teachers from their mean: no student is in it."""
    student, one, _ = closed_form_logits()
    teachers = [one, one.roll(2, 1)]
    gaps = [
        ensemble_loss(z, teachers, mode="loss", temperature=2.0) - ensemble_loss(z, teachers, temperature=2.0)
        for z in (student, torch.zeros_like(student))
    ]
    p, q = (torch.softmax(z / 2, 1) for z in teachers)
    spread = sum((r * (r / (p / 2 + q / 2)).log()).sum(1).mean() for r in (p, q)) / 2
    for gap in gaps:
        assert gap.item() == pytest.approx(4 * float(spread), rel=1e-8)


def test_the_class_asks_the_members_and_not_their_mean() -> None:
    student, one, _ = closed_form_logits()
    members = (Outputs(one), Outputs(one.roll(1, 1)))
    objective = Ensemble(weights=(1.0, 3.0), mode="logit")
    objective.build(BuildContext(10, 5, Outputs(student), Outputs(one, members=members)))
    expected = kd_loss(student, 0.25 * one + 0.75 * one.roll(1, 1))
    torch.testing.assert_close(objective.loss(step(student, Outputs(50 * one, members=members))), expected)


def test_gradcheck() -> None:
    student, one, _ = closed_form_logits()
    teachers = [one, one.roll(1, 1)]
    assert torch.autograd.gradcheck(lambda z: ensemble_loss(z, teachers, weights=(1, 2)), student.requires_grad_())


def test_errors() -> None:
    student, one, _ = closed_form_logits()
    with pytest.raises(ValueError, match="needs at least one teacher"):
        ensemble_loss(student, [])
    with pytest.raises(ValueError, match=r"weights: \[1.0\] for 2 teachers"):
        ensemble_loss(student, [one, one], weights=(1.0,))
    for weights in ((-1.0, 2.0), (0.0, 0.0), (1.0, math.nan), (1.0, math.inf)):
        with pytest.raises(ValueError, match=r"weights: \[.*\] are not finite, at least 0 and not all 0"):
            ensemble_loss(student, [one, one], weights=weights)
        with pytest.raises(ValueError, match=r"weights: \[.*\] are not finite, at least 0 and not all 0"):
            Ensemble(weights=weights)
    with pytest.raises(ValueError, match="mode: unknown 'sum'; there are probability, loss, logit"):
        inspect.unwrap(ensemble_loss)(student, [one], mode="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        Ensemble(temperature=0)
    with pytest.raises(UsageError, match=r"ensemble needs several teachers: teacher=\[RUN, RUN\]"):
        Ensemble().loss(step(student, Outputs(one)))
    with pytest.raises(UsageError, match=r"ensemble needs several teachers: teacher=\[RUN, RUN\]"):
        Ensemble().build(BuildContext(10, 5, Outputs(student), Outputs(one)))
    three = Outputs(one, members=(Outputs(one), Outputs(one), Outputs(one)))
    with pytest.raises(UsageError, match=r"a weight for each teacher, and got 2 for 3: method.weights=\[1.0, 2.0\]"):
        Ensemble(weights=(1.0, 2.0)).build(BuildContext(10, 5, Outputs(student), three))
