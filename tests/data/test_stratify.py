from __future__ import annotations

import pytest
import torch

from preceptor.data import Arrays
from preceptor.data.augment.views import ORDER, random_bits
from preceptor.data.stratify import complement, held_out, split_off_test, stratified
from preceptor.errors import UsageError


@pytest.mark.parametrize("count", [0, 1, 7, 33, 100])
def test_stratified_counts_are_the_largest_remainders(count: int) -> None:
    sizes = [50, 30, 13, 7]  # of 100: the exact share of a class is its size * count / 100
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes))
    labels = labels[torch.randperm(100, generator=torch.Generator().manual_seed(0))]
    rows = stratified(labels, count, 3, stream=0)
    found = torch.bincount(labels[rows], minlength=4).tolist()
    assert sum(found) == count
    for size, number in zip(sizes, found, strict=True):
        assert size * count // 100 <= number <= size * count // 100 + 1
    remainders = [size * count % 100 for size in sizes]
    up = [remainders[k] for k in range(4) if found[k] > sizes[k] * count // 100]
    down = [remainders[k] for k in range(4) if found[k] == sizes[k] * count // 100]
    assert not up or not down or min(up) >= max(down)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert torch.equal(rows, stratified(labels, count, 3, stream=0))


def test_the_rows_of_a_class_are_those_of_its_smallest_keys() -> None:
    labels = torch.randint(0, 5, (200,), generator=torch.Generator().manual_seed(1))
    rows = stratified(labels, 60, 7, stream=2)
    keys = random_bits(7, 2, torch.arange(200), stream=ORDER + 1)[:, 0]
    for label in range(5):
        mine = torch.nonzero(labels == label).flatten()
        taken = rows[labels[rows] == label]
        assert taken.equal(mine[keys[mine].argsort(stable=True)[: len(taken)]].sort().values)
    assert stratified(labels[:0], 0, 0, stream=0).equal(torch.empty(0, dtype=torch.int64))


def test_the_seed_chooses_the_rows() -> None:
    labels = torch.arange(200) % 4
    assert not torch.equal(stratified(labels, 40, 0, stream=0), stratified(labels, 40, 1, stream=0))
    with pytest.raises(UsageError, match="201 samples asked for, 200 there"):
        stratified(labels, 201, 0, stream=0)


def test_a_class_with_one_sample_stays() -> None:
    labels = torch.cat([torch.arange(20), torch.full((20,), 20)])
    assert set(labels[stratified(labels, 20, 0, stream=0)].tolist()) - {20}  # the plain rule takes some of them
    assert set(labels[held_out(labels, 20, 0, stream=0)].tolist()) == {20}


def test_a_fifth_of_each_class_is_split_off_as_test() -> None:
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor([50, 30, 1]))
    train, test = split_off_test(Arrays(torch.arange(81).float()[:, None], labels))
    assert torch.bincount(train.labels).tolist() == [40, 24, 1]  # the last class keeps its only sample
    rows = [split.inputs(torch.arange(len(split))).flatten().long() for split in (train, test)]
    assert rows[0].equal(complement(rows[1], 81))
    assert labels[rows[1]].equal(test.labels)
