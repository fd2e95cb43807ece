from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.objectives.banks import fresh_order, remember
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.crd import CRD, crd_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import GOLDEN, assert_golden, offer


def test_definition() -> None:
    positive, negative = torch.rand(3, dtype=torch.float64) + 0.1, torch.rand(3, 4, dtype=torch.float64) + 0.1
    ratio, total = 4 / 50, 0.0
    for b in range(3):
        total += math.log(float(positive[b]) / (float(positive[b]) + ratio + 1e-7))
        total += sum(math.log(ratio / (float(negative[b, k]) + ratio + 1e-7)) for k in range(4))
    assert crd_loss(positive, negative, num_data=50).item() == pytest.approx(-total / 3, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("crd", number, crd_loss)


@pytest.mark.parametrize("number", [0, 1])
def test_golden_step(number: int) -> None:
    """A full step of the authors' memory: scores, normalisers, both directions, gradients, and the banks after it."""
    with np.load(GOLDEN / "crd_memory" / f"crd_memory-{number}.npz", allow_pickle=False) as stored:
        arrays = {
            name: torch.from_numpy(np.asarray(stored[name]))
            for name in stored.files
            if stored[name].dtype != "<U" and stored[name].dtype.kind in "fi"
        }
        hyperparameters = json.loads(str(stored["kwargs"]))
    temperature, num_data = hyperparameters["temperature"], hyperparameters["num_data"]
    student, teacher = arrays["student_embedding"].requires_grad_(), arrays["teacher_embedding"].requires_grad_()
    total = torch.zeros(())
    for anchor, bank, normaliser in (
        (student, arrays["teacher_memory"], arrays["student_normaliser"]),
        (teacher, arrays["student_memory"], arrays["teacher_normaliser"]),
    ):
        scores = (torch.einsum("bd,bkd->bk", anchor, bank[arrays["contrast_index"]]) / temperature).exp()
        assert (scores.mean() * num_data).item() == pytest.approx(float(normaliser), rel=1e-4)
        scores = scores / float(normaliser)
        total = total + crd_loss(scores[:, 0], scores[:, 1:], num_data=num_data)
    assert total.item() == pytest.approx(float(arrays["loss"]), rel=1e-4)
    total.backward()
    for side, embedding in (("student", student), ("teacher", teacher)):
        assert embedding.grad is not None
        torch.testing.assert_close(
            embedding.grad.double(), arrays[f"grad_{side}_embedding"].double(), rtol=1e-3, atol=1e-5
        )
        bank = arrays[f"{side}_memory"]
        remember(bank, arrays["index"], embedding, hyperparameters["momentum"])
        torch.testing.assert_close(bank, arrays[f"{side}_memory_after"].float(), rtol=1e-5, atol=1e-6)


def test_tabulated() -> None:
    b, k = torch.arange(4, dtype=torch.float64), torch.arange(1, 4, dtype=torch.float64)
    positive, negative = 0.02 * torch.exp(0.3 * torch.cos(b)), 0.01 * torch.exp(-0.2 * b[:, None] + 0.1 * k)
    assert crd_loss(positive, negative, num_data=100).item() == pytest.approx(1.722787034, rel=1e-8)


def test_by_hand() -> None:
    assert crd_loss(torch.ones(1), torch.full((1, 2), 2.0), num_data=2).item() == pytest.approx(
        math.log(2) + 2 * math.log(3), rel=1e-6
    )


def test_it_falls_as_the_positive_rises_and_the_negatives_fall() -> None:
    one, many = torch.tensor([1.0]), torch.tensor([[1.0, 1.0]])
    values = [crd_loss(s * one, many / s, num_data=10).item() for s in (1.0, 10.0, 1e6)]
    assert values[0] > values[1] > values[2] == pytest.approx(0, abs=1e-4)


SAMPLES, CLASSES = 40, 4


def objective(**hyperparameters: object) -> CRD:
    torch.manual_seed(0)
    crd = CRD(dim=6, **hyperparameters)  # type: ignore[arg-type]
    crd.taps(offer("pooled"), offer("pooled"))
    outputs = [Outputs(torch.zeros(2, CLASSES), {"pooled": torch.zeros(2, width)}) for width in (5, 7)]
    labels = torch.arange(SAMPLES) % CLASSES
    crd.build(BuildContext(SAMPLES, CLASSES, outputs[0], outputs[1], labels=labels))
    return crd


def step(rows: list[int], seed: int = 0) -> Step:
    random = torch.Generator().manual_seed(seed)
    student_outputs, teacher_outputs = (
        Outputs(torch.zeros(len(rows), CLASSES), {"pooled": torch.randn(len(rows), width, generator=random)})
        for width in (5, 7)
    )
    index = torch.tensor(rows)
    batch = Batch(torch.zeros(len(rows), 1), index % CLASSES, index, View("none", 0, 1))
    return Step(batch, student_outputs, teacher_outputs, torch.nn.Identity(), Progress(1, 1, 0.0))


def slow(crd: CRD, example: Step, num_negatives: int) -> Tensor:
    """Both directions as written in the paper, with the negatives that the step's order gives to each row."""
    order = fresh_order(SAMPLES, crd.seed, crd.num_steps).tolist()
    assert example.teacher is not None
    embeddings = [
        functional.normalize(embed(outputs.features["pooled"]))
        for embed, outputs in ((crd.student_embed, example.student), (crd.teacher_embed, example.teacher))
    ]
    total = torch.zeros(())
    for anchor, bank in zip(embeddings, (crd.teacher_bank, crd.student_bank), strict=True):
        scores = []
        for b, row in enumerate(example.batch.index.tolist()):
            others = [k for k in order if k % CLASSES != row % CLASSES][:num_negatives]
            scores.append([torch.exp(anchor[b] @ bank[k] / crd.temperature) for k in [row, *others]])
        table = torch.stack([torch.stack(row) for row in scores])
        table = table / (table.detach().mean() * SAMPLES)
        total = total + crd_loss(table[:, 0], table[:, 1:], num_data=SAMPLES)
    return total


@pytest.mark.parametrize("num_negatives", [5, 30, 16384])
def test_a_step_is_the_paper_s_with_negatives_of_other_classes_only(num_negatives: int) -> None:
    crd = objective(num_negatives=num_negatives)
    example = step([3, 8, 21])
    expected = slow(crd, example, min(num_negatives, 30))
    torch.testing.assert_close(crd.loss(example), expected, rtol=1e-4, atol=1e-5)


def test_banks_are_remembered_in_training_and_only_for_the_rows_seen() -> None:
    crd = objective()
    before = crd.student_bank.clone()
    crd.eval().loss(step([3, 8]))
    assert torch.equal(crd.student_bank, before)
    crd.train().loss(step([3, 8]))
    changed = (crd.student_bank != before).any(1).nonzero()[:, 0].tolist()
    assert changed == [3, 8]
    torch.testing.assert_close(crd.student_bank[[3, 8]].norm(dim=1), torch.ones(2))
    assert int(crd.num_steps) == 1


def test_of_rows_that_are_one_sample_the_first_is_remembered() -> None:
    """Written as they come, the last of them would win on a CPU, and any of them elsewhere."""
    crd = objective()
    example = step([3, 8, 3])
    assert example.teacher is not None
    expected = []
    for embed, bank, outputs in (
        (crd.student_embed, crd.student_bank, example.student),
        (crd.teacher_embed, crd.teacher_bank, example.teacher),
    ):
        new = functional.normalize(embed(outputs.features["pooled"]))
        expected.append(functional.normalize(0.5 * bank[[3, 8]] + 0.5 * new[[0, 1]]))
    crd.loss(example)
    torch.testing.assert_close(crd.student_bank[[3, 8]], expected[0])
    torch.testing.assert_close(crd.teacher_bank[[3, 8]], expected[1])


def test_normalisers_are_those_of_the_first_batch() -> None:
    crd = objective()
    crd.loss(step([3, 8], seed=1))
    first = crd.log_normalisers.clone()
    crd.loss(step([5, 9], seed=2))
    assert torch.equal(crd.log_normalisers, first)
    assert (first != 0).all()


def test_the_state_resumes_bit_for_bit() -> None:
    one, two = objective(), objective()
    one.loss(step([3, 8]))
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.loss(step([1, 2], seed=5)), two.loss(step([1, 2], seed=5)))
    assert torch.equal(one.teacher_bank, two.teacher_bank)


def test_the_rows_of_all_processes_are_compared_in_the_first_step_of_the_run_only() -> None:
    crd = objective()
    fresh = objective()
    fresh.load_state_dict(crd.state_dict())
    assert (crd.compares_rows, fresh.compares_rows) == (True, True)
    crd.loss(step([0, 1, 2]))
    resumed = objective()
    resumed.load_state_dict(crd.state_dict())
    assert (crd.compares_rows, resumed.compares_rows) == (False, False)


def test_relaxed_positives_are_of_the_same_class() -> None:
    crd = objective(mode="relax")
    index = torch.arange(12)
    chosen = crd._positives(index, fresh_order(SAMPLES, 0, torch.tensor([3])))
    assert torch.equal(chosen % CLASSES, index % CLASSES)
    assert not torch.equal(chosen, index)


def test_orders_are_new_at_every_step() -> None:
    orders = [fresh_order(50, 0, torch.tensor([number])) for number in (0, 1)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert not torch.equal(*orders)


def test_gradcheck() -> None:
    positive, negative = torch.rand(3, dtype=torch.float64) + 0.1, torch.rand(3, 4, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(
        lambda p, n: crd_loss(p, n, num_data=50), (positive.requires_grad_(), negative.requires_grad_())
    )


def test_errors() -> None:
    with pytest.raises(ValueError, match="num_data: 0 is not above 0"):
        crd_loss(torch.ones(1), torch.ones(1, 1), num_data=0)
    with pytest.raises(ValueError, match=r"dim, num_negatives, momentum: 0, 16384, 0\.5 are not in range"):
        CRD(dim=0)
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        CRD(temperature=0)
    with pytest.raises(UsageError, match="crd needs a teacher and the labels of the training split"):
        CRD().build(BuildContext(10, 3, Outputs(torch.zeros(2, 3)), Outputs(torch.zeros(2, 3))))
    with pytest.raises(UsageError, match="crd needs feature pooled of the student"):
        CRD().taps({}, offer("pooled"))
