from __future__ import annotations

import math

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.objectives.base import Taps
from preceptor.objectives.teacher.hsakd_teacher import HSAKDTeacher, hsakd_teacher_loss
from vectors import assert_golden, offer, softmax_rows


def test_definition() -> None:
    torch.manual_seed(0)
    logits, heads, labels = torch.randn(8, 3).double(), [torch.randn(8, 12).double() for _ in range(2)], [2, 0]
    total = sum(-math.log(softmax_rows(logits)[4 * image][label]) / 2 for image, label in enumerate(labels))
    for head in heads:
        rows = softmax_rows(head)
        total -= sum(
            math.log(rows[4 * image + turns][4 * label + turns]) / 8
            for image, label in enumerate(labels)
            for turns in range(4)
        )
    assert hsakd_teacher_loss(logits, heads, torch.tensor(labels)).item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("hsakd_teacher", number, hsakd_teacher_loss)


def test_by_hand() -> None:
    """All uniform: log 2 for the classes, log 8 for each head."""
    value = hsakd_teacher_loss(torch.zeros(8, 2), [torch.zeros(8, 8)] * 3, torch.tensor([1, 0]))
    assert value.item() == pytest.approx(math.log(2) + 3 * math.log(8), rel=1e-6)


def test_rotated_rows_of_the_main_logits_do_not_count() -> None:
    logits, heads = torch.randn(4, 3), [torch.zeros(4, 12)]
    changed = torch.cat([logits[:1], torch.randn(3, 3)])
    label = torch.tensor([1])
    assert torch.equal(hsakd_teacher_loss(logits, heads, label), hsakd_teacher_loss(changed, heads, label))


def test_it_taps_the_blocks() -> None:
    objective = HSAKDTeacher()
    assert objective.taps(offer("stem", "block1", "block2", "pooled"), {}) == Taps(("block1", "block2"))
    assert objective.views() == ("rotated_90", "rotated_180", "rotated_270")
    with pytest.raises(UsageError, match="hsakd_teacher needs feature block1 of the network, which offers pooled"):
        objective.taps(offer("pooled"), {})


def test_gradcheck() -> None:
    torch.manual_seed(0)
    logits, head = torch.randn(4, 2).double().requires_grad_(), torch.randn(4, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z, h: hsakd_teacher_loss(z, [h], torch.tensor([1])), (logits, head))


def test_errors() -> None:
    with pytest.raises(ValueError, match="labels"):
        hsakd_teacher_loss(torch.zeros(4, 2), [], torch.tensor([0, 1]))
