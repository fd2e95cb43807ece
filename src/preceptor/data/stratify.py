"""Which rows a stratified subset takes: pure functions of the labels, a seed and a stream."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from preceptor.data.augment.views import ORDER, random_bits
from preceptor.data.split import Split
from preceptor.errors import UsageError

__all__ = ["complement", "held_out", "split_off_test", "stratified", "train_and_test_rows"]

_TEST_SHARE = 0.2
_TEST_STREAM = 9


def stratified(labels: Int[Tensor, samples * classes], count: int, seed: int, *, stream: int) -> Int[Tensor, " chosen"]:
    """Return `count` rows in rising order, each class in proportion to its size (largest remainders first).

    Multi-label samples have no single class, so their rows are drawn without stratification. Which rows of a class are taken
    is a pure function of seed, stream and row.

    Raises:
        UsageError: when there are fewer than `count` samples.
    """
    if count > len(labels):
        raise UsageError(f"data: {count} samples asked for, {len(labels)} there")
    strata = _strata(labels)
    _, class_of, sizes = np.unique(strata.numpy(), return_inverse=True, return_counts=True)
    exact = sizes * count / max(len(strata), 1)
    quota = np.floor(exact).astype(np.int64)
    quota[np.argsort(quota - exact, kind="stable")[: count - quota.sum()]] += 1
    keys = random_bits(seed, stream, torch.arange(len(strata)), stream=ORDER + 1)[:, 0]
    by_key = torch.argsort(keys, stable=True)
    by_class = by_key[
        torch.argsort(torch.from_numpy(class_of)[by_key], stable=True)
    ]  # class by class, each by its keys
    place = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # of each row in its class
    return by_class[torch.from_numpy(place < np.repeat(quota, sizes))].sort().values


def held_out(labels: Int[Tensor, samples * classes], count: int, seed: int, *, stream: int) -> Int[Tensor, " chosen"]:
    """Return `count` rows as `stratified` does, less one row of each class that would be left without samples."""
    strata = _strata(labels)
    chosen = stratified(strata, count, seed, stream=stream)
    classes, first = np.unique(strata[chosen].numpy(), return_index=True)
    is_emptied = ~np.isin(classes, strata[complement(chosen, len(strata))].numpy())
    is_taken = torch.ones(len(chosen), dtype=torch.bool)
    is_taken[torch.from_numpy(first[is_emptied])] = False
    return chosen[is_taken]


def train_and_test_rows(labels: Int[Tensor, samples * classes]) -> tuple[Int[Tensor, " train"], Int[Tensor, " test"]]:
    """Return the training and the test rows of a source without a test split: a fifth is test, stratified, always the same."""
    test = held_out(labels, round(_TEST_SHARE * len(labels)), 0, stream=_TEST_STREAM)
    return complement(test, len(labels)), test


def split_off_test(split: Split) -> tuple[Split, Split]:
    """Return the training and the test split of a source without a test split: see `train_and_test_rows`."""
    train, test = train_and_test_rows(split.labels)
    return split.take(train), split.take(test)


def complement(rows: Int[Tensor, " chosen"], length: int) -> Int[Tensor, " others"]:
    """Return those of `length` rows that are not among these, in rising order."""
    is_other = torch.ones(length, dtype=torch.bool)
    is_other[rows] = False
    return torch.nonzero(is_other).flatten()


def _strata(labels: Tensor) -> Int[Tensor, " samples"]:
    return labels if labels.ndim == 1 else torch.zeros(len(labels), dtype=torch.int64)
