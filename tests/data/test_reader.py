from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from preceptor.data import Arrays, Data, Items, Normalisation, load, plain_batches, view_batches
from preceptor.data.augment.views import VIEWS
from preceptor.types import View

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", limit=100)


class Slow(Dataset[tuple[Tensor, int]]):
    """Samples that exist only when they are asked for."""

    def __len__(self) -> int:
        return 50

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.full((3, 8, 8), row, dtype=torch.uint8), row % 2


def test_plain_batches_are_in_order_without_a_view(digits: Data) -> None:
    batches = list(plain_batches(digits.test, digits.normalisation, 64, CPU))
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(len(digits.test)))
    inputs = torch.cat([batch.inputs for batch in batches])
    assert torch.equal(inputs, digits.normalisation(digits.test.inputs(torch.arange(len(digits.test)))))
    assert {batch.view.name for batch in batches} == {"none"}


def test_processes_share_plain_batches_and_get_as_many(digits: Data) -> None:
    rows = digits.test.take(torch.arange(41))
    shards = [list(plain_batches(rows, digits.normalisation, 20, CPU, rank=rank, world_size=3)) for rank in range(3)]
    assert [[len(batch.index) for batch in shard] for shard in shards] == [[7, 7, 1], [7, 7, 1], [6, 6, 1]]
    assert [shard[2].share for shard in shards] == [3.0, 0.0, 0.0]
    counted = [batch.index for shard in shards for batch in shard if batch.share > 0]
    assert torch.cat(counted).sort().values.tolist() == list(range(41))
    assert sum(batch.share for shard in shards for batch in shard) == pytest.approx(3 * 3)


def test_no_samples_are_no_batches() -> None:
    empty = Arrays(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    assert list(plain_batches(empty, Normalisation(), 4, CPU)) == []


def test_readers_in_other_processes_give_the_same_plain_batches() -> None:
    split = Items(Slow(), torch.arange(49))
    for rank, world_size in ((0, 1), (1, 2)):
        state = torch.get_rng_state()
        one, other = (
            list(plain_batches(split, Normalisation(), 16, CPU, workers=workers, rank=rank, world_size=world_size))
            for workers in (0, 2)
        )
        assert torch.get_rng_state().equal(state)
        assert [batch.share for batch in one] == [batch.share for batch in other]
        for first, second in zip(one, other, strict=True):
            assert first.inputs.equal(second.inputs)
            assert first.index.equal(second.index)


def test_rows_are_read_no_further_than_ahead() -> None:
    """Requests may be endless; the views come with the rows."""
    consumed: list[int] = []

    def requests() -> Iterator[tuple[View, Tensor]]:
        for number in itertools.count():
            consumed.append(number)
            yield View("crop_flip", 1, number), torch.tensor([number % 40, 3])

    batches = view_batches(Items(Slow(), torch.arange(49)), requests(), Normalisation(), CPU, workers=1)
    for number in range(3):
        batch = next(batches)
        raw = torch.stack([torch.full((3, 8, 8), row, dtype=torch.uint8) for row in (number, 3)])
        assert batch.inputs.equal(VIEWS["crop_flip"](raw, 1, number, torch.tensor([number, 3])).float() / 255)
    assert len(consumed) < 10
