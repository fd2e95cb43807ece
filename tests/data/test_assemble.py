from __future__ import annotations

import numpy as np
import pytest
import torch

from preceptor.data import Arrays, from_objects, load
from preceptor.errors import UsageError


def test_splits_are_disjoint_and_the_limit_leaves_validation_alone() -> None:
    x, y = np.arange(300.0)[:, None], np.arange(300) % 3
    full, small = (from_objects({"train": (x, y), "test": (x, y)}, limit=limit) for limit in (None, 30))
    rows = [set(split.inputs(torch.arange(len(split))).flatten().tolist()) for split in (full.train, full.validation)]
    assert rows[0].isdisjoint(rows[1])
    assert rows[0] | rows[1] == set(range(300))
    assert torch.bincount(full.validation.labels).tolist() == [10, 10, 10]
    assert torch.bincount(small.train.labels).tolist() == [10, 10, 10]
    every = torch.arange(30)
    assert torch.equal(full.validation.inputs(every), small.validation.inputs(every))


@pytest.mark.parametrize(
    ("key", "value"), [("validation", -0.1), ("validation", 1.5), ("limit", -5), ("test_limit", 0)]
)
def test_shares_and_limits_out_of_range_are_named(key: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"data\.{key}: {value} is not"):
        load("digits", **{key: value})  # type: ignore[arg-type]


def test_training_samples_keep_their_numbers_in_the_source() -> None:
    inputs = np.arange(100, dtype=np.float32)[:, None]
    data = from_objects((inputs, np.arange(100) % 4), validation=0.2, limit=30, normalise=False)
    assert data.train.numbers is not None
    assert data.train.numbers.tolist() == data.train.inputs(torch.arange(30))[:, 0].tolist()
    assert data.source_samples == 100
    apart = {"train": (inputs, np.arange(100) % 4), "test": (inputs[:10], np.arange(10) % 4)}
    whole = from_objects(apart, validation=0.0, normalise=False)
    assert whole.source_samples == 100
    assert load("digits").source_samples == 1797


def test_smaller_labelled_fractions_are_subsets_of_larger_ones() -> None:
    few, many = (load("digits", labelled_fraction=fraction) for fraction in (0.05, 0.25))
    everything = load("digits")
    for data, fraction in ((few, 0.05), (many, 0.25)):
        assert data.pool is not None
        assert len(data.train) == round(fraction * len(everything.train))
        assert len(data.train) + len(data.pool) == len(everything.train)
        assert torch.bincount(data.train.labels, minlength=10).min() >= len(data.train) // 10 - 1

    def images(data_: object) -> set[bytes]:
        assert isinstance(data_, Arrays)
        return {row.numpy().tobytes() for row in data_.values}

    assert images(few.train) < images(many.train) < images(everything.train)
    assert images(many.train) | images(many.pool) == images(everything.train)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5])
def test_a_labelled_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(UsageError, match=r"data.labelled_fraction: .* is not in \(0, 1\)"):
        load("digits", labelled_fraction=fraction)
