"""Multi-label data: each class a problem of its own, by definition."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Objective
from preceptor.objectives.distill import CTKD, DIST, DKD, KD, METHODS, NKD, WSLD, Ensemble, LogitStd
from preceptor.objectives.distill.dist import dist_loss
from preceptor.objectives.distill.logit_std import logit_std_loss
from preceptor.objectives.teacher import OBJECTIVES, Brier, Consistency, CrossEntropy, LabelSmoothing
from preceptor.objectives.weighted import Sum
from preceptor.types import Batch, Outputs, Progress, Step, View

ROWS, CLASSES = 5, 3
LOOK_AT_CLASSES = {
    "confidence_ranking",
    "pesf_kd",
    "dml",
    "sftn",
    "hsakd_teacher",
    "mcmi",
    "mlkd",
    "crd",
    "sskd",
    "hsakd",
    "sdd",
    "ldrld",
    "wkd_l",
    "skd",
    "kd_pp",
    "ofa",
}  # made for one class a sample


def tensors() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    student, teacher = (3 * torch.randn(ROWS, CLASSES, generator=generator, dtype=torch.float64) for _ in range(2))
    return student, teacher, (torch.rand(ROWS, CLASSES, generator=generator) < 0.4).long()


def value(objective: Objective, *, labelled: bool = True, epoch: int = 1, members: bool = False) -> Tensor:
    student, teacher, labels = tensors()
    teacher_outputs = Outputs(teacher, members=(Outputs(teacher), Outputs(-teacher)) if members else ())
    total = Sum(term=(1.0, objective))
    total.build(BuildContext(ROWS, CLASSES, Outputs(student), teacher_outputs, labels=labels, task="multilabel"))
    batch = Batch(torch.zeros(ROWS, 2), labels if labelled else None, torch.arange(ROWS), View("none", 0, epoch))
    progress = Progress(epoch, 10, 0.0)
    return total.terms(Step(batch, Outputs(student.requires_grad_()), teacher_outputs, nn.Identity(), progress))["term"]


def bernoulli_kl(teacher: float, student: float) -> float:
    p, q = 1 / (1 + math.exp(-teacher)), 1 / (1 + math.exp(-student))
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def summed(term: Any) -> float:
    """Return the batch mean of the sum over classes of term(z, z of the teacher, y)."""
    columns = [values.flatten().tolist() for values in tensors()]
    return float(sum(term(*entry) for entry in zip(*columns, strict=True)) / ROWS)


def test_kd_is_the_kl_of_each_class_summed() -> None:
    expected = summed(lambda z, t, y: 9 * bernoulli_kl(t / 3, z / 3))
    assert value(KD(3.0)).item() == pytest.approx(expected, rel=1e-10)
    assert value(KD(3.0), labelled=False).item() == pytest.approx(expected, rel=1e-10)


def test_dkd_is_its_target_part_which_is_kd_of_two_classes() -> None:
    loss = value(DKD(target_weight=2.0, temperature=3.0)).item()
    assert loss == pytest.approx(2 * value(KD(3.0)).item(), rel=1e-10)


def test_cross_entropy_is_that_of_each_sigmoid() -> None:
    student, _, labels = tensors()
    expected = functional.binary_cross_entropy_with_logits(student, labels.double(), reduction="sum") / ROWS
    assert value(CrossEntropy()).item() == pytest.approx(expected.item(), rel=1e-10)


def test_balanced_weights_are_of_absent_and_present() -> None:
    share = tensors()[2].double().mean().item()
    weights = [1 / (2 * (1 - share)), 1 / (2 * share)]
    expected = summed(lambda z, t, y: weights[int(y)] * math.log1p(math.exp(-z if y else z)))
    assert value(CrossEntropy(class_weights="balanced")).item() == pytest.approx(expected, rel=1e-6)


def test_brier_is_the_squared_distance_to_absent_and_present() -> None:
    expected = summed(lambda z, t, y: 2 * (1 / (1 + math.exp(-z)) - y) ** 2)
    assert value(Brier()).item() == pytest.approx(expected, rel=1e-10)


def test_label_smoothing_smooths_each_label() -> None:
    def term(z: float, t: float, y: float) -> float:
        target, p = 0.9 * y + 0.05, 1 / (1 + math.exp(-z))
        return -target * math.log(p) - (1 - target) * math.log(1 - p)

    assert value(LabelSmoothing(0.1)).item() == pytest.approx(summed(term), rel=1e-10)


def test_nkd_weighs_each_cross_entropy_by_the_teachers_confidence() -> None:
    def term(z: float, t: float, y: float) -> float:
        sign = 1 if y else -1
        return math.log1p(math.exp(-sign * z)) / (1 + math.exp(-sign * t))

    assert value(NKD()).item() == pytest.approx(summed(term), rel=1e-10)


def test_the_members_of_an_ensemble_are_taken_one_vs_rest() -> None:
    def term(z: float, t: float, y: float) -> float:
        return (bernoulli_kl(t, z) + bernoulli_kl(-t, z)) / 2

    assert value(Ensemble(mode="loss", temperature=1.0), members=True).item() == pytest.approx(summed(term), rel=1e-10)


def test_dist_correlates_sigmoids() -> None:
    student, teacher, _ = tensors()
    p, q = torch.sigmoid(student / 2), torch.sigmoid(teacher / 2)
    rows = sum(torch.corrcoef(torch.stack([p[i], q[i]]))[0, 1].item() for i in range(ROWS)) / ROWS
    columns = sum(torch.corrcoef(torch.stack([p[:, c], q[:, c]]))[0, 1].item() for c in range(CLASSES)) / CLASSES
    assert value(DIST(temperature=2.0)).item() == pytest.approx(4 * (2 - rows - columns), rel=1e-6)
    assert dist_loss(student, student, multilabel=True).item() == pytest.approx(0, abs=1e-4)


def test_logit_std_compares_sigmoids_of_z_scores() -> None:
    student, teacher, _ = tensors()
    z, t = ((values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True) for values in (student, teacher))
    pairs = zip(z.flatten().tolist(), t.flatten().tolist(), strict=True)
    expected = sum(4 * bernoulli_kl(its / 2, mine / 2) for mine, its in pairs) / ROWS
    assert value(LogitStd(2.0)).item() == pytest.approx(expected, rel=1e-5)
    assert logit_std_loss(3 * teacher + 1, teacher, multilabel=True).item() == pytest.approx(0, abs=1e-6)


def test_consistency_remembers_each_class_of_each_sample() -> None:
    objective = Consistency()
    assert value(objective).item() == 0
    assert objective.bank.shape == (ROWS * CLASSES, 2)
    torch.testing.assert_close(objective.bank[:, 1].double(), torch.sigmoid(tensors()[0]).flatten(), rtol=0, atol=1e-6)


def test_the_rows_that_a_sample_is_remembered_in() -> None:
    student, _, labels = tensors()
    index = torch.tensor([4, 0])
    total = Sum(each=(1.0, Consistency()), none=(1.0, CrossEntropy()))
    total.build(BuildContext(ROWS, CLASSES, Outputs(student), None, labels=labels, task="multilabel"))
    ((memory_banks, rows),) = total.memory_rows(index)
    assert rows.tolist() == [12, 13, 14, 0, 1, 2]
    assert [len(memory) for memory in memory_banks] == [ROWS * CLASSES] * 2
    total = Sum(one=(1.0, Consistency()))
    total.build(BuildContext(ROWS, CLASSES, Outputs(student), None, labels=labels.argmax(1)))
    ((memory_banks, rows),) = Sum(outer=(1.0, total)).memory_rows(index)
    assert rows.equal(index)
    assert [len(memory) for memory in memory_banks] == [ROWS] * 2


@pytest.mark.parametrize("make", [KD, DKD, CTKD, NKD, WSLD, DIST, LogitStd, CrossEntropy, Brier, LabelSmoothing])
def test_the_gradient_reaches_every_log_odds(make: Any) -> None:
    student, teacher, labels = tensors()
    student.requires_grad_()
    teacher.requires_grad_()
    total = Sum(term=(1.0, make()))
    total.build(BuildContext(ROWS, CLASSES, Outputs(student), Outputs(teacher), labels=labels, task="multilabel"))
    batch = Batch(torch.zeros(ROWS, 2), labels, torch.arange(ROWS), View("none", 0, 1))
    total.loss(Step(batch, Outputs(student), Outputs(teacher), nn.Identity(), Progress(1, 10, 0.0))).backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert (student.grad != 0).all()
    assert teacher.grad is None


def test_every_objective_says_what_it_is_there() -> None:
    undefined = {key for key, entry in {**OBJECTIVES, **METHODS}.items() if entry.objective.multilabel is None}
    assert undefined == LOOK_AT_CLASSES


def test_one_class_a_sample_is_left_as_it_was() -> None:
    student, teacher, _ = tensors()
    total = Sum(kd=(1.0, KD(2.0)))
    total.build(BuildContext(ROWS, CLASSES, Outputs(student), Outputs(teacher)))
    batch = Batch(torch.zeros(ROWS, 2), torch.zeros(ROWS, dtype=torch.long), torch.arange(ROWS), View("none", 0, 1))
    step = Step(batch, Outputs(student), Outputs(teacher), nn.Identity(), Progress(1, 10, 0.0))
    assert total.terms(step)["kd"].item() == KD(2.0)(student, teacher).item()


def test_weights_for_other_than_absent_and_present() -> None:
    with pytest.raises(UsageError, match="class_weights: 3 for 2 classes; one each"):
        value(CrossEntropy(class_weights=(1.0, 1.0, 1.0)))
