from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from vectors import GOLDEN, closed_form_logits

from preceptor.objectives.base import Setting
from preceptor.objectives.teacher.consistency import Bank, Consistency, consistency_loss
from preceptor.types import Outputs

CASES = json.loads((GOLDEN / "teacher.json").read_text())["consistency"]


def built(kind: Bank, samples: int, classes: int, momentum: float = 0.9) -> Consistency:
    objective = Consistency(kind, momentum)
    objective.build(Setting(samples, classes, Outputs(torch.zeros(2, classes)), None))
    return objective.train()


@pytest.mark.parametrize("case", CASES, ids=["linear", "cosine"])
@pytest.mark.parametrize(("kind", "prefix"), [("code", "released"), ("mean", "mean")])
def test_golden_six_epochs(case: dict[str, Any], kind: Bank, prefix: str) -> None:
    with np.load(GOLDEN / case["arrays"], allow_pickle=False) as arrays:
        logits, order = torch.from_numpy(arrays["logits"]), torch.from_numpy(arrays["order"])
        banks, gradients = (torch.from_numpy(arrays[f"{prefix}_{name}"]) for name in ("bank", "grad_logits"))
    objective = built(kind, case["samples"], case["classes"])
    for epoch in range(case["epochs"]):
        for number, rows in enumerate(order[epoch].split(case["batch_size"])):
            batch = logits[epoch][rows].clone().requires_grad_()
            value = case["weight"][epoch] * objective(batch, rows, epoch + 1)
            assert value.item() == pytest.approx(case[f"{prefix}_loss"][epoch][number], rel=1e-4, abs=1e-9)
            value.backward()
            assert batch.grad is not None
            expected = gradients[epoch][rows]
            torch.testing.assert_close(batch.grad.double(), expected.double(), rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(objective.bank.double(), banks[epoch].double(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["code", "mean", "ema"])
def test_ten_epochs_against_the_closed_forms(kind: Bank) -> None:
    answers = [torch.randn(3, 4, generator=torch.Generator().manual_seed(k)) for k in range(10)]
    objective = built(kind, 3, 4, momentum=0.8)
    p = [torch.softmax(logits, 1) for logits in answers]
    for epoch, logits in enumerate(answers, start=1):
        objective(logits, torch.arange(3), epoch)
        seen = p[:epoch]
        if kind == "code":
            expected = p[0] if epoch == 1 else (p[0] + sum(seen)) / (epoch + 1)
        elif kind == "mean":
            expected = sum(seen, torch.zeros(3, 4)) / epoch
        else:
            expected = sum((0.2 * 0.8 ** (epoch - 1 - k) * q for k, q in enumerate(seen)), torch.zeros(3, 4))
        torch.testing.assert_close(objective.bank, torch.as_tensor(expected))


def test_the_ema_is_corrected_for_its_empty_start() -> None:
    objective = built("ema", 1, 2)
    logits = torch.tensor([[1.0, -1.0]])
    objective(logits, torch.tensor([0]), 1)
    assert objective(logits, torch.tensor([0]), 2).item() == pytest.approx(0, abs=1e-12)


def test_nothing_in_epoch_1_and_nothing_for_a_sample_never_seen() -> None:
    objective = built("mean", 2, 3)
    assert objective(torch.randn(1, 3), torch.tensor([0]), 1).item() == 0
    assert objective(torch.randn(1, 3), torch.tensor([1]), 2).item() == 0
    assert objective(torch.randn(1, 3), torch.tensor([0]), 2).item() > 0


def test_evaluation_leaves_the_bank_alone() -> None:
    objective = built("code", 2, 3).eval()
    objective(torch.randn(2, 3), torch.arange(2), 1)
    assert objective.bank.abs().sum() == 0


def test_the_bank_is_part_of_the_state() -> None:
    one, two = built("code", 2, 3), built("code", 2, 3)
    one(torch.randn(2, 3), torch.arange(2), 1)
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.bank, two.bank)
    assert two.bank.abs().sum() > 0


def test_definition_and_by_hand() -> None:
    logits, teacher, _ = closed_form_logits()
    earlier = torch.softmax(teacher, 1)
    expected = (torch.softmax(logits, 1) - earlier).square().sum() / 4
    torch.testing.assert_close(consistency_loss(logits, earlier), expected)
    assert consistency_loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])).item() == pytest.approx(0.5)


def test_gradcheck_and_no_gradient_into_the_past() -> None:
    logits, teacher, _ = closed_form_logits()
    earlier = torch.softmax(teacher, 1).requires_grad_()

    def loss(z: Tensor) -> Tensor:
        return consistency_loss(z, earlier)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())
    loss(logits).backward()
    assert earlier.grad is None


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"momentum: 1.0 is not in \[0, 1\)"):
        Consistency("ema", momentum=1.0)


@pytest.mark.parametrize("kind", ["code", "mean", "ema"])
def test_a_sample_twice_in_a_batch_enters_once_whatever_the_order(kind: Bank) -> None:
    logits, rows = torch.randn(3, 4), torch.tensor([1, 0, 1])
    first, plain = built(kind, 2, 4), built(kind, 2, 4)
    first(logits, rows, 1)
    plain(logits[:2], rows[:2], 1)
    assert torch.equal(first.bank, plain.bank)
    assert first.visits.tolist() == [1, 1]


def test_a_first_answer_after_epoch_1_enters_whole() -> None:
    objective = built("code", 2, 3)
    objective(torch.zeros(1, 3), torch.tensor([0]), 1)
    objective(torch.zeros(2, 3), torch.tensor([0, 1]), 2)
    torch.testing.assert_close(objective.bank, torch.full((2, 3), 1 / 3))


def test_the_loss_looks_at_the_bank_before_this_answer_enters() -> None:
    objective, rows = built("mean", 1, 2), torch.tensor([0])
    objective(torch.tensor([[100.0, 0.0]]), rows, 1)
    assert objective(torch.tensor([[0.0, 100.0]]), rows, 2).item() == pytest.approx(2.0)
    torch.testing.assert_close(objective.bank, torch.tensor([[0.5, 0.5]]))


def test_without_gradients_the_bank_stays() -> None:
    objective = built("code", 2, 3)
    with torch.no_grad():
        objective(torch.randn(2, 3), torch.arange(2), 1)
    assert objective.visits.sum() == 0


def test_going_on_in_the_middle_of_an_epoch_gives_the_same_bank() -> None:
    logits = torch.randn(3, 4, 5)
    whole, first = built("code", 4, 5), built("code", 4, 5)
    for epoch in range(3):
        for rows in torch.arange(4).split(2):
            whole(logits[epoch, rows], rows, epoch + 1)
            first(logits[epoch, rows], rows, epoch + 1)
            resumed = built("code", 4, 5)
            resumed.load_state_dict(first.state_dict())
            first = resumed
    assert torch.equal(first.bank, whole.bank)


def test_a_missing_bank_is_said() -> None:
    with pytest.raises(ValueError, match=r"no bank yet: call build\(setting\) first"):
        Consistency()(torch.zeros(1, 2), torch.tensor([0]), 2)
