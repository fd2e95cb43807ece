from __future__ import annotations

import torch
from torch.nn import functional

from preceptor.objectives.banks import class_type, fresh_order, keep_largest, remember, spread_out


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


def test_the_largest_entries_stay_in_their_places_and_the_rest_is_shared_out() -> None:
    rows = torch.rand(20, 9, generator=torch.Generator().manual_seed(1))
    totals = rows.sum(1)
    full_rows = spread_out(*keep_largest(rows, 4), totals, 9)
    for row, rebuilt, total in zip(rows.tolist(), full_rows.tolist(), totals.tolist(), strict=True):
        largest = sorted(range(9), key=lambda c: -row[c])[:4]
        rest = (total - sum(row[c] for c in largest)) / 5
        expected = [row[c] if c in largest else rest for c in range(9)]
        torch.testing.assert_close(torch.tensor(rebuilt), torch.tensor(expected))
    assert torch.equal(spread_out(*keep_largest(rows, 9), totals, 9), rows)


def test_rounding_leaves_no_negative_rest() -> None:
    values, classes = torch.tensor([[0.75, 0.25 + 2**-20]]), torch.tensor([[2, 0]])
    assert spread_out(values, classes, torch.ones(1), 3)[0, 1] == 0


def test_classes_are_numbered_in_two_bytes_as_long_as_they_fit() -> None:
    assert torch.tensor(2**15 - 1).to(class_type(2**15)).item() == 2**15 - 1
    assert torch.tensor(2**15).to(class_type(2**15 + 1)).item() == 2**15
    assert class_type(21_841).itemsize == 2
