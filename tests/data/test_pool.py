from __future__ import annotations

import pytest
import torch

from preceptor.data import Arrays, Loader, LoaderSettings, Normalisation, PooledLoader, load, pooled_sizes
from preceptor.errors import UsageError


def split(count: int, first: int = 0) -> Arrays:
    return Arrays(torch.arange(first, first + count).float()[:, None], torch.arange(count) % 3)


def loader(samples: Arrays, size: int, seed: int = 0) -> Loader:
    return Loader(
        samples,
        LoaderSettings(
            batch_size=size, view="none", normalisation=Normalisation(), seed=seed, device=torch.device("cpu")
        ),
    )


def pooled(labelled: int = 10, pool: int = 25, sizes: tuple[int, int] = (3, 5), steps: int = 9) -> PooledLoader:
    return PooledLoader(loader(split(labelled), sizes[0]), loader(split(pool, 100), sizes[1]), num_batches=steps)


def test_labelled_rows_come_first_and_rows_are_counted_on_into_the_pool() -> None:
    for batch in pooled().batches(1):
        assert batch.labels is not None
        assert len(batch.labels) == 3
        assert len(batch.index) == len(batch.inputs) == 8
        shown = batch.inputs[:, 0].long()
        assert torch.equal(batch.index[:3], shown[:3])
        assert torch.equal(batch.index[3:], shown[3:] - 100 + 10)
        assert torch.equal(batch.labels, shown[:3] % 3)


def test_either_starts_over_in_another_order() -> None:
    shown = [batch.index.tolist() for epoch in (1, 2) for batch in pooled().batches(epoch)]
    assert len(shown) == 18
    passes = [
        [row for rows in shown[3 * k : 3 * k + 3] for row in rows[:3]] for k in range(6)
    ]  # 10 rows: 3 full batches
    for one in passes:
        assert len(set(one)) == 9
    assert len({tuple(one) for one in passes}) == 6
    turns = [[row for rows in shown[5 * k : 5 * k + 5] for row in rows[3:]] for k in range(3)]  # 25 rows: 5 batches
    assert all(sorted(one) == list(range(10, 35)) for one in turns)
    assert turns[0] != turns[1]


def test_an_epoch_can_be_entered_in_the_middle() -> None:
    batches = list(pooled().batches(2))
    for start in (0, 4, 8):
        for one, other in zip(pooled().batches(2, start=start), batches[start:], strict=True):
            assert torch.equal(one.index, other.index)
            assert torch.equal(one.inputs, other.inputs)
            assert one.view == other.view
            assert one.view.epoch == 2


def test_a_sample_that_returns_within_an_epoch_is_seen_in_another_view() -> None:
    digits = load("digits", limit=40)
    assert isinstance(digits.train, Arrays)

    def crops(size: int) -> Loader:
        return Loader(
            digits.train,
            LoaderSettings(
                batch_size=size,
                view="crop_flip",
                normalisation=digits.normalisation,
                seed=0,
                device=torch.device("cpu"),
            ),
        )

    seen: dict[int, list[torch.Tensor]] = {}
    for batch in PooledLoader(crops(20), crops(20), num_batches=8).batches(1):
        for row, image in zip(batch.index[:20].tolist(), batch.inputs[:20], strict=True):
            seen.setdefault(row, []).append(image)
    assert all(len(images) == 4 for images in seen.values())
    distinct = [len(torch.stack(images).unique(dim=0)) for images in seen.values()]
    assert sum(distinct) / len(distinct) > 3


def test_rows_of_either() -> None:
    assert pooled_sizes(split(100), split(100), 64, 1.0) == (32, 32)
    assert pooled_sizes(split(100), split(100), 64, 7.0) == (8, 56)
    assert pooled_sizes(split(5), split(100), 64, 1.0) == (5, 32)
    with pytest.raises(UsageError, match=r"unlabelled_ratio: 1000.0 leaves 0 of batch_size=64 rows"):
        pooled_sizes(split(100), split(100), 64, 1000.0)
    with pytest.raises(UsageError, match="10 samples with labels and 0 without"):
        pooled_sizes(split(10), split(0), 64, 1.0)
