from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from preceptor.objectives.base import BuildContext
from preceptor.objectives.connectors import Exit, TokenExit
from preceptor.objectives.distill.ofa import OFA, ofa_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_logits, softmax_rows


@pytest.mark.parametrize(("exponent", "temperature"), [(1.0, 1.0), (1.5, 2.0)])
def test_definition(exponent: float, temperature: float) -> None:
    student, teacher, labels = closed_form_logits()
    total = 0.0
    for mine, its, y in zip(
        softmax_rows(student, temperature), softmax_rows(teacher, temperature), labels.tolist(), strict=True
    ):
        for c in range(5):
            weight = (1 + its[c]) ** exponent - 1 if c == y else its[c] ** exponent
            total -= weight * math.log(mine[c]) / 4
    value = ofa_loss(student, teacher, labels, exponent=exponent, temperature=temperature)
    assert value.item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ofa", number, ofa_loss)


def test_by_hand() -> None:
    """Two classes alike, exponent 2: ((3/2)^2 - 1 + (1/2)^2) log 2."""
    value = ofa_loss(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]), exponent=2.0)
    assert value.item() == pytest.approx(1.5 * math.log(2), rel=1e-6)


def test_exponent_one_is_the_cross_entropy_with_the_teacher() -> None:
    student, teacher, labels = closed_form_logits()
    expected = -(torch.softmax(teacher, 1) * torch.log_softmax(student, 1)).sum(1).mean()
    torch.testing.assert_close(ofa_loss(student, teacher, labels), expected)


def built(shapes: list[tuple[int, int, int]]) -> tuple[OFA, Outputs]:
    torch.manual_seed(0)
    maps = {f"block{n}": torch.randn(3, *shape) for n, shape in enumerate(shapes, 1)}
    outputs = Outputs(torch.randn(3, 5), maps)
    objective = OFA()
    objective.taps({name: tuple(value.shape[1:]) for name, value in maps.items()}, {})
    objective.build(BuildContext(3, 5, outputs, outputs))
    return objective, outputs


@pytest.mark.parametrize(("shapes", "kind"), [([(4, 8, 8), (6, 4, 4), (8, 2, 2)], Exit), ([(8, 9, 9)] * 3, TokenExit)])
def test_every_block_has_an_exit(shapes: list[tuple[int, int, int]], kind: type[nn.Module]) -> None:
    objective, outputs = built(shapes)
    labels, teacher = torch.tensor([0, 1, 2]), torch.randn(3, 5)
    maps = list(outputs.features.values())
    assert [type(each) for each in objective.exits] == [kind] * 3
    objective.eval()
    exits = [leave(each) for leave, each in zip(objective.exits, maps, strict=True)]
    expected = sum(ofa_loss(logits, teacher, labels) for logits in (outputs.logits, *exits))
    torch.testing.assert_close(objective(outputs.logits, teacher, labels, maps), expected)
    objective(outputs.logits, teacher, labels, maps).backward()
    assert all(each.grad is not None for each in objective.parameters())
    size = sum(each.numel() for each in objective.exits.parameters())
    assert objective.notes() == (f"3 exits of {size:,} parameters, dropped at the end",)


def test_a_batch_of_one_in_training_leaves_the_final_logits() -> None:
    objective, outputs = built([(4, 2, 2), (8, 1, 1)])
    mine, its, labels = outputs.logits[:1], torch.randn(1, 5), torch.tensor([2])
    maps = [each[:1] for each in outputs.features.values()]
    torch.testing.assert_close(objective.train()(mine, its, labels, maps), ofa_loss(mine, its, labels))


def test_gradcheck() -> None:
    student, teacher, labels = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: ofa_loss(z, teacher, labels, exponent=1.4), student.requires_grad_())


def test_errors() -> None:
    for name in ("exponent", "temperature"):
        with pytest.raises(ValueError, match=f"{name}: 0 is not above 0"):
            OFA(**{name: 0})
