from __future__ import annotations

import torch
from torch.nn import functional

from preceptor.objectives.banks import fresh_order, remember


def test_a_bank_moves_by_its_momentum_and_back_to_length_1() -> None:
    bank = functional.normalize(torch.randn(5, 3))
    before, new = bank.clone(), functional.normalize(torch.randn(2, 3))
    remember(bank, torch.tensor([4, 1]), new, 0.75)
    for place, row in enumerate((4, 1)):
        mixed = 0.75 * before[row] + 0.25 * new[place]
        torch.testing.assert_close(bank[row], mixed / mixed.norm())
    assert torch.equal(bank[[0, 2, 3]], before[[0, 2, 3]])


def test_an_order_depends_on_seed_and_step_alone() -> None:
    first = fresh_order(100, 3, torch.tensor([7]))
    assert torch.equal(fresh_order(100, 3, torch.tensor([7])), first)
    assert not torch.equal(fresh_order(100, 3, torch.tensor([8])), first)
    assert not torch.equal(fresh_order(100, 4, torch.tensor([7])), first)
    assert sorted(first.tolist()) == list(range(100))


def test_every_sample_comes_first_about_as_often() -> None:
    firsts = torch.tensor([int(fresh_order(10, 0, torch.tensor([step]))[0]) for step in range(2000)])
    counts = torch.bincount(firsts, minlength=10).double()
    assert float(((counts - 200) ** 2 / 200).sum()) < 30  # chi-square, 9 degrees of freedom
