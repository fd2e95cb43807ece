from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from preceptor.data import (
    Arrays,
    Data,
    FixedViews,
    Items,
    Loader,
    LoaderSettings,
    Normalisation,
    Split,
    load,
)
from preceptor.data.augment.views import VIEWS
from preceptor.errors import UsageError
from preceptor.types import Batch, View

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", limit=100)


def loader_of(split: Split, normalisation: Normalisation, *, view: str = "crop_flip", seed: int = 5) -> Loader:
    return Loader(split, LoaderSettings(batch_size=32, view=view, normalisation=normalisation, seed=seed, device=CPU))


def test_an_epoch_shows_every_sample_once_and_keeps_the_short_batch(digits: Data) -> None:
    loader = loader_of(digits.train, digits.normalisation)
    batches = list(loader.batches(1))
    assert [len(batch.index) for batch in batches] == [32, 32, 32, 4]
    assert loader.num_batches == 4
    index = torch.cat([batch.index for batch in batches])
    assert index.sort().values.tolist() == list(range(100))
    for batch in batches:
        assert batch.labels is not None
        assert torch.equal(batch.labels, digits.train.labels[batch.index])
        assert (batch.view.name, batch.view.seed, batch.view.epoch) == ("crop_flip", 5, 1)


def test_a_batch_holds_the_normalised_view_of_its_rows(digits: Data) -> None:
    raw = digits.train.inputs(torch.arange(100))
    (mean,), (std,) = digits.normalisation.mean, digits.normalisation.std
    for batch in loader_of(digits.train, digits.normalisation).batches(3):
        augmented = VIEWS["crop_flip"](raw[batch.index], 5, 3, batch.index).double()
        torch.testing.assert_close(batch.inputs.double(), (augmented / 255 - mean) / std, rtol=1e-5, atol=1e-5)


def test_order_is_a_function_of_seed_and_epoch(digits: Data) -> None:
    loader = loader_of(digits.train, digits.normalisation)
    first, second = loader.order(1), loader.order(2)
    assert not torch.equal(first, second)
    assert not torch.equal(first, loader_of(digits.train, digits.normalisation, seed=6).order(1))
    list(loader.batches(2))
    assert torch.equal(loader.order(1), first)


def test_start_gives_the_tail_bit_for_bit(digits: Data) -> None:
    batches = list(loader_of(digits.train, digits.normalisation).batches(4))
    for start in (0, 1, 3, 4):
        tail = list(loader_of(digits.train, digits.normalisation).batches(4, start=start))
        assert len(tail) == 4 - start
        for one, other in zip(batches[start:], tail, strict=True):
            assert torch.equal(one.inputs, other.inputs)
            assert torch.equal(one.index, other.index)


def dataset(inputs: Tensor) -> Items:
    return Items(TensorDataset(inputs, torch.arange(len(inputs)) % 3))


def test_items_are_read_on_demand_and_augmented_like_arrays(digits: Data) -> None:
    raw = digits.train.inputs(torch.arange(100))
    from_items = list(loader_of(dataset(raw), digits.normalisation).batches(2))
    from_arrays = list(loader_of(Arrays(raw, torch.arange(100) % 3), digits.normalisation).batches(2))
    for one, other in zip(from_items, from_arrays, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert one.labels is not None
        assert other.labels is not None
        assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("shape", [(12, 3, 8, 8), (12, 5)])
def test_a_view_for_images_refuses_float_inputs(shape: tuple[int, ...]) -> None:
    inputs = torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))
    with pytest.raises(UsageError, match=r"crop_flip works on uint8 images, and the inputs are torch\.float32"):
        loader_of(dataset(inputs), Normalisation())
    (batch,) = loader_of(dataset(inputs), Normalisation(), view="none").batches(1)
    assert torch.equal(batch.inputs, inputs[batch.index])


def test_an_unknown_view_is_named(digits: Data) -> None:
    with pytest.raises(UsageError, match=r"unknown name 'crop_flop'; did you mean crop_flip\?"):
        loader_of(digits.train, digits.normalisation, view="crop_flop")


def test_a_batch_size_of_zero_is_refused(digits: Data) -> None:
    with pytest.raises(UsageError, match="batch_size 0 is not at least 1"):
        Loader(
            digits.train, LoaderSettings(batch_size=0, view="none", normalisation=Normalisation(), seed=0, device=CPU)
        )


class Slow(Dataset[tuple[Tensor, int]]):
    """Samples that exist only when they are asked for."""

    def __len__(self) -> int:
        return 50

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        if row == 49 and torch.utils.data.get_worker_info() is not None:
            raise OSError("sample 49 is on a bad sector")
        return torch.full((3, 8, 8), row, dtype=torch.uint8), row % 2


def test_readers_in_other_processes_give_the_same_batches() -> None:
    split = Items(Slow(), torch.arange(49))
    batches: list[list[Batch]] = []
    for workers in (0, 2):
        loader = Loader(
            split,
            LoaderSettings(
                batch_size=16, view="crop_flip", normalisation=Normalisation(), seed=1, device=CPU, workers=workers
            ),
        )
        state = torch.get_rng_state()
        batches.append(list(loader.batches(2, start=1)))
        assert torch.get_rng_state().equal(state)
    for one, other in zip(*batches, strict=True):
        assert one.inputs.equal(other.inputs)
        assert one.index.equal(other.index)
        assert one.labels is not None
        assert other.labels is not None
        assert one.labels.equal(other.labels)


def test_an_error_in_another_process_arrives() -> None:
    loader = Loader(
        Items(Slow()),
        LoaderSettings(batch_size=16, view="none", normalisation=Normalisation(), seed=1, device=CPU, workers=1),
    )
    with pytest.raises(OSError, match="bad sector"):
        list(loader.batches(1))


def test_a_fixed_number_of_views_is_shown_in_turn(digits: Data) -> None:
    loader = Loader(
        digits.train,
        LoaderSettings(
            batch_size=100,
            view="crop_flip",
            normalisation=digits.normalisation,
            seed=5,
            device=CPU,
            fixed_views=FixedViews(seed=9, count=2),
        ),
    )
    batches = {epoch: next(loader.batches(epoch)) for epoch in (1, 2, 3)}
    assert [batch.view for batch in batches.values()] == [View("crop_flip", 9, number) for number in (1, 2, 1)]
    rows = {epoch: batch.inputs[batch.index.argsort()] for epoch, batch in batches.items()}
    assert rows[1].equal(rows[3])
    assert not rows[1].equal(rows[2])
    assert not batches[1].index.equal(batches[3].index)  # the order is still the epoch's own
    raw = digits.train.inputs(torch.arange(100))
    expected = digits.normalisation(VIEWS["crop_flip"](raw, 9, 2, torch.arange(100)))
    assert rows[2].equal(expected)


def test_a_last_batch_of_one_row_waits_for_another_epoch() -> None:
    """Batch norm cannot train on it, and the next epoch's order is another."""
    split = Arrays(torch.arange(9.0)[:, None], torch.zeros(9, dtype=torch.long))

    def loader(batch_size: int) -> Loader:
        settings = LoaderSettings(
            batch_size=batch_size, view="none", normalisation=Normalisation(), seed=0, device=torch.device("cpu")
        )
        return Loader(split, settings)

    assert [len(batch.inputs) for batch in loader(4).batches(1)] == [4, 4]
    assert loader(4).num_batches == 2
    assert len({int(row) for epoch in range(1, 9) for batch in loader(4).batches(epoch) for row in batch.index}) == 9
    for batch_size, sizes in ((1, [1] * 9), (7, [7, 2]), (9, [9]), (12, [9])):
        assert [len(batch.inputs) for batch in loader(batch_size).batches(1)] == sizes
