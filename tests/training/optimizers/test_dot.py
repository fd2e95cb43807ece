from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from preceptor.training.optimizers.dot import DOT


def losses(weight: Tensor, step: int) -> tuple[Tensor, Tensor]:
    return (weight - step).square().sum(), (3 * weight + 1).square().sum()


def trained(optimizer: torch.optim.Optimizer, weight: Tensor, steps: int = 6) -> None:
    for step in range(steps):
        labels, teacher = losses(weight, step)
        if isinstance(optimizer, DOT):
            optimizer.backward(labels, teacher)
        else:
            optimizer.zero_grad()
            (labels + teacher).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def test_equal_momenta_are_sgd_on_the_sum() -> None:
    one, two = (nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(2))
    trained(DOT([one], lr=0.01, momentum=0.9, delta=0.0, weight_decay=0.1), one)
    trained(torch.optim.SGD([two], lr=0.01, momentum=0.9, weight_decay=0.1), two)
    torch.testing.assert_close(one, two)


def test_definition() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    trained(DOT([weight], lr=0.01, momentum=0.9, delta=0.05, weight_decay=0.1), weight)
    for place, start in enumerate((1.0, -2.0)):
        w, labels, teacher = start, 0.0, 0.0
        for step in range(6):
            g_labels, g_teacher = 2 * (w - step) + 0.1 * w, 6 * (3 * w + 1)
            labels = g_labels if step == 0 else 0.85 * labels + g_labels
            teacher = g_teacher if step == 0 else 0.95 * teacher + g_teacher
            w -= 0.01 * (labels + teacher)
        assert weight[place].item() == pytest.approx(w, rel=1e-12)


def test_a_parameter_of_one_side_has_plain_momentum_and_decays() -> None:
    both, only = (nn.Parameter(torch.tensor([1.0], dtype=torch.float64)) for _ in range(2))
    plain = nn.Parameter(only.detach().clone())
    dot = DOT([both, only], lr=0.01, momentum=0.9, delta=0.05, weight_decay=0.1)
    sgd = torch.optim.SGD([plain], lr=0.01, momentum=0.9, weight_decay=0.1)
    for _ in range(4):
        dot.backward(both.square().sum(), (both * only).square().sum() * 0 + only.square().sum())
        dot.step()
        sgd.zero_grad()
        plain.square().sum().backward()
        sgd.step()
    torch.testing.assert_close(only, plain)


def test_the_state_makes_a_round_trip() -> None:
    one = nn.Parameter(torch.tensor([1.0, -2.0]))
    first = DOT([one], lr=0.01)
    trained(first, one, 3)
    two = nn.Parameter(one.detach().clone())
    second = DOT([two], lr=0.01)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    trained(first, one, 2)
    trained(second, two, 2)
    assert torch.equal(one, two)


def test_the_sides_change_places_and_back() -> None:
    both, of_labels = (nn.Parameter(torch.tensor([1.0])) for _ in range(2))
    dot = DOT([both, of_labels], lr=0.1, delta=0.05)
    dot.backward((both * of_labels * 2).sum(), (both * 3).sum())
    dot.swap()
    assert (both.grad, of_labels.grad) == (torch.tensor([3.0]), None)
    dot.swap()
    assert (both.grad, of_labels.grad) == (torch.tensor([2.0]), torch.tensor([2.0]))
    dot.step()
    assert both.item() == pytest.approx(1 - 0.1 * (2 + 3))


def test_only_one_side_may_be_there() -> None:
    one, two = (nn.Parameter(torch.tensor([1.0])) for _ in range(2))
    DOT([one], lr=0.1).backward(one.square().sum(), None)
    dot = DOT([two], lr=0.1, delta=0.05)
    dot.backward(None, two.square().sum())
    dot.step()
    assert two.item() == pytest.approx(0.8)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"delta: 0.2 takes momentum 0.9 out of \[0, 1\)"):
        DOT([nn.Parameter(torch.zeros(1))], lr=0.1, delta=0.2)
