from __future__ import annotations

import numpy as np
import pytest
import torch

from preceptor.data import Arrays, Data, Normalisation, from_objects, load
from preceptor.data.dataset import fingerprint, held_out, stratified
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


def test_the_seed_chooses_the_rows() -> None:
    labels = torch.arange(200) % 4
    assert not torch.equal(stratified(labels, 40, 0, stream=0), stratified(labels, 40, 1, stream=0))
    with pytest.raises(UsageError, match="201 samples asked for, 200 there"):
        stratified(labels, 201, 0, stream=0)


def test_a_class_with_one_sample_stays() -> None:
    labels = torch.cat([torch.arange(20), torch.full((20,), 20)])
    assert set(labels[stratified(labels, 20, 0, stream=0)].tolist()) - {20}  # the plain rule takes some of them
    assert set(labels[held_out(labels, 20, 0, stream=0)].tolist()) == {20}


def test_parts_are_disjoint_and_the_limit_leaves_validation_alone() -> None:
    x, y = np.arange(300.0)[:, None], np.arange(300) % 3
    whole, small = (from_objects({"train": (x, y), "test": (x, y)}, limit=limit) for limit in (None, 30))
    rows = [set(part.inputs(torch.arange(len(part))).flatten().tolist()) for part in (whole.train, whole.validation)]
    assert rows[0].isdisjoint(rows[1])
    assert rows[0] | rows[1] == set(range(300))
    assert torch.bincount(whole.validation.labels).tolist() == [10, 10, 10]
    assert torch.bincount(small.train.labels).tolist() == [10, 10, 10]
    every = torch.arange(30)
    assert torch.equal(whole.validation.inputs(every), small.validation.inputs(every))


@pytest.mark.parametrize(
    ("key", "value"), [("validation", -0.1), ("validation", 1.5), ("limit", -5), ("test_limit", 0)]
)
def test_shares_and_limits_out_of_range_are_named(key: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"data\.{key}: {value} is not"):
        load("digits", **{key: value})  # type: ignore[arg-type]


def test_normalisation() -> None:
    images = torch.tensor([[[[0, 255]], [[51, 102]]]], dtype=torch.uint8)
    shown = Normalisation((0.5, 0.2), (0.5, 0.1))(images)
    torch.testing.assert_close(shown, torch.tensor([[[[-1.0, 1.0]], [[0.0, 2.0]]]]))
    floats = torch.tensor([[3.0, 7.0]])
    assert torch.equal(Normalisation()(floats), floats)


def test_the_fingerprint_sees_every_part_and_the_shape() -> None:
    inputs, labels = torch.arange(12, dtype=torch.uint8), torch.arange(4)
    base = fingerprint(Arrays(inputs.reshape(4, 3), labels))
    assert base == fingerprint(Arrays(inputs.reshape(4, 3).clone(), labels))
    assert base != fingerprint(Arrays(inputs.reshape(4, 3, 1), labels))
    assert base != fingerprint(Arrays(inputs.reshape(4, 3), labels.flip(0)))
    assert load("digits").fingerprint != load("digits", test_limit=50).fingerprint


def test_the_truth_has_a_fingerprint_of_its_own() -> None:
    x, y = np.arange(40.0)[:, None], np.arange(40) % 2
    truth = torch.from_numpy(np.tile([0.7, 0.3], (40, 1))).float()
    other = truth.clone()
    other[3] = torch.tensor([0.6, 0.4])

    def data(train: torch.Tensor | None, test: torch.Tensor | None = None) -> Data:
        parts = {"train": train, "test": test}
        return from_objects(
            {name: Arrays(torch.from_numpy(x).float(), torch.from_numpy(y), p) for name, p in parts.items()}
        )

    plain, known, changed, tested = data(None), data(truth), data(other), data(None, truth)
    assert {each.fingerprint for each in (plain, known, changed, tested)} == {
        plain.fingerprint
    }  # networks see the same
    assert plain.truth_fingerprint is None
    found = [each.truth_fingerprint for each in (known, changed, tested)]
    assert len({*found, data(truth, truth).truth_fingerprint}) == 4
    assert data(truth.clone()).truth_fingerprint == found[0]
