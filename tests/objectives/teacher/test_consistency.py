from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.teacher.consistency import Bank, Consistency, consistency_loss
from preceptor.objectives.weighted import Sum
from preceptor.types import Outputs
from vectors import GOLDEN, closed_form_logits

CASES = json.loads((GOLDEN / "teacher.json").read_text())["consistency"]


def built(kind: Bank, samples: int, classes: int, momentum: float = 0.9, top: int | None = None) -> Consistency:
    objective = Consistency(kind, momentum, top)
    objective.build(BuildContext(samples, classes, Outputs(torch.zeros(2, classes)), None))
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
    outputs = [torch.randn(3, 4, generator=torch.Generator().manual_seed(k)) for k in range(10)]
    objective = built(kind, 3, 4, momentum=0.8)
    p = [torch.softmax(logits, 1) for logits in outputs]
    for epoch, logits in enumerate(outputs, start=1):
        objective(logits, torch.arange(3), epoch)
        predictions = p[:epoch]
        if kind == "code":
            expected = p[0] if epoch == 1 else (p[0] + sum(predictions)) / (epoch + 1)
        elif kind == "mean":
            expected = sum(predictions, torch.zeros(3, 4)) / epoch
        else:
            expected = sum((0.2 * 0.8 ** (epoch - 1 - k) * q for k, q in enumerate(predictions)), torch.zeros(3, 4))
        torch.testing.assert_close(objective.bank, torch.as_tensor(expected))


@pytest.mark.parametrize("kind", ["code", "mean", "ema"])
def test_the_largest_entries_by_a_slow_loop(kind: Bank) -> None:
    """Nine epochs of five samples, each visited in two of three: rows of six classes rebuilt from three, moved, cut again."""
    generator = torch.Generator().manual_seed(5)
    objective = built(kind, 5, 6, momentum=0.7, top=3)
    kept: list[dict[int, float]] = [{} for _ in range(5)]
    visits = [0] * 5
    for epoch in range(1, 10):
        rows = [row for row in range(5) if (row + epoch) % 3]
        logits = 2 * torch.randn(len(rows), 6, generator=generator)
        expected = 0.0
        for row, prediction in zip(rows, torch.softmax(logits.double(), 1).tolist(), strict=True):
            num_visits = visits[row]
            mass = 1 - 0.7**num_visits if kind == "ema" else float(num_visits > 0)
            rest = (mass - sum(kept[row].values())) / (6 - 3)
            full_row = [kept[row].get(c, rest) for c in range(6)]
            if num_visits:
                expected += sum((p - q / mass) ** 2 for p, q in zip(prediction, full_row, strict=True)) / len(rows)
            first = num_visits == 0 or epoch == 1
            share = {"code": 1.0 if first else 1 / (1 + epoch), "mean": 1 / (num_visits + 1), "ema": 0.3}[kind]
            moved = [q + share * (p - q) for p, q in zip(prediction, full_row, strict=True)]
            kept[row] = {c: moved[c] for c in sorted(range(6), key=lambda c: -moved[c])[:3]}
            visits[row] += 1
        value = objective(logits, torch.tensor(rows), epoch).item()
        assert value == pytest.approx(expected if epoch > 1 else 0.0, rel=1e-5, abs=1e-7)
    assert objective.kept_classes is not None
    for row, entries in enumerate(kept):
        assert objective.kept_classes[row].tolist() == list(entries)
        assert objective.bank[row].tolist() == pytest.approx(list(entries.values()), rel=1e-5)


@pytest.mark.parametrize("kind", ["code", "mean", "ema"])
def test_all_classes_kept_are_the_dense_bank(kind: Bank) -> None:
    generator = torch.Generator().manual_seed(0)
    dense, kept = built(kind, 7, 5), built(kind, 7, 5, top=5)
    for epoch in range(1, 6):
        for rows in torch.randperm(7, generator=generator).split(3):
            logits = torch.randn(len(rows), 5, generator=generator)
            assert torch.equal(kept(logits, rows, epoch), dense(logits, rows, epoch))


def test_the_first_answers_rest_is_spread_evenly_over_the_classes_left_out() -> None:
    objective, rows = built("code", 1, 4, top=2), torch.tensor([0])
    objective(torch.tensor([[0.5, 0.05, 0.3, 0.15]]).log(), rows, 1)
    expected = torch.tensor([[0.5, 0.1, 0.3, 0.1]])  # 0.05 and 0.15 are now the same
    assert objective(expected.log(), rows, 2).item() == pytest.approx(0, abs=1e-12)


def test_a_mean_over_hundreds_of_epochs_does_not_stand_still() -> None:
    """100 predictions of 0.9, then 300 of 0.8: near 0.9, float16 knows steps of 0.0005 only, and the last are of 0.00006."""
    objective, rows = built("mean", 1, 3, top=2), torch.tensor([0])
    for epoch in range(1, 401):
        sure = 0.9 if epoch <= 100 else 0.8
        objective(torch.tensor([[sure, 0.95 - sure, 0.05]]).log(), rows, epoch)
    torch.testing.assert_close(objective.bank, torch.tensor([[0.825, 0.125]]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("classes", "entry"), [(1000, 6), (2**15, 6), (2**15 + 1, 8)])
def test_bytes_of_the_largest_entries_and_none_for_what_is_not_used(classes: int, entry: int) -> None:
    kept, dense = built("code", 30, classes, top=16), built("code", 30, classes)
    assert sum(buffer.nbytes for buffer in kept.buffers()) == 30 * (16 * entry + 4)
    assert sum(buffer.nbytes for buffer in dense.buffers()) == 30 * (classes * 4 + 4)
    assert set(dense.state_dict()) == set(dense.memory_banks) == {"bank", "visits"}
    assert set(kept.state_dict()) == set(kept.memory_banks) == {"bank", "visits", "kept_classes"}
    logits = torch.zeros(1, classes)
    logits[0, -1] = 10
    kept(logits, torch.tensor([3]), 1)
    assert kept.kept_classes is not None
    assert kept.kept_classes[3, 0] == classes - 1  # the largest number fits


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
    with pytest.raises(ValueError, match="top: 0 is below 1"):
        Consistency(top=0)
    with pytest.raises(UsageError, match=r"consistency.top: 5 is not in 1..4, for 4 classes"):
        built("code", 2, 4, top=5)
    with pytest.raises(UsageError, match=r"top: 1 of two classes \(multi-label: two for each\) cuts nothing; drop it"):
        built("code", 2, 2, top=1)


def test_a_bank_that_no_memory_holds_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"no room for a bank of .* x 1,000, 4,000,000 GB on cpu; consistency.top=16"):
        built("code", 10**12, 1000)


def test_multi_label_data_take_no_top() -> None:
    objective = Sum(consistency=(1.0, Consistency(top=2)))
    labels = torch.zeros(3, 5, dtype=torch.long)
    with pytest.raises(UsageError, match=r"top: 2 of two classes \(multi-label: two for each\)"):
        objective.build(BuildContext(3, 5, Outputs(torch.zeros(2, 5)), None, labels=labels, task="multilabel"))


@pytest.mark.parametrize("top", [None, 2])
@pytest.mark.parametrize("kind", ["code", "mean", "ema"])
def test_a_sample_twice_in_a_batch_enters_once_whatever_the_order(kind: Bank, top: int | None) -> None:
    logits, rows = torch.randn(3, 4), torch.tensor([1, 0, 1])
    first, plain = built(kind, 2, 4, top=top), built(kind, 2, 4, top=top)
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


@pytest.mark.parametrize("top", [None, 2])
def test_going_on_in_the_middle_of_an_epoch_gives_the_same_bank(top: int | None) -> None:
    logits = torch.randn(3, 4, 5)
    twice, first = built("code", 4, 5, top=top), built("code", 4, 5, top=top)
    for epoch in range(3):
        for rows in torch.arange(4).split(2):
            twice(logits[epoch, rows], rows, epoch + 1)
            first(logits[epoch, rows], rows, epoch + 1)
            resumed = built("code", 4, 5, top=top)
            resumed.load_state_dict(first.state_dict())
            first = resumed
    assert all(torch.equal(value, twice.state_dict()[name]) for name, value in first.state_dict().items())


def test_a_missing_bank_is_said() -> None:
    with pytest.raises(ValueError, match=r"no bank yet: call build\(context\) first"):
        Consistency()(torch.zeros(1, 2), torch.tensor([0]), 2)
