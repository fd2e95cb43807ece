from __future__ import annotations

from dataclasses import replace

import torch

from preceptor.data.mixing import mixup, real
from preceptor.types import Batch, View


def batch(epoch: int = 1, seed: int = 0) -> Batch:
    inputs = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return Batch(inputs, torch.arange(6), torch.arange(6), View("none", seed, epoch), {"strong": 2 * inputs})


def test_real_is_the_batch_itself() -> None:
    given = batch()
    assert real(given, 3) is given


def test_mixup_is_one_weight_of_at_least_a_half_with_the_next_row_and_no_labels() -> None:
    given = batch()
    mixed = mixup(given, 0)
    weight = ((mixed.inputs - given.inputs.roll(1, 0)) / (given.inputs - given.inputs.roll(1, 0))).median()
    assert 0.5 <= weight <= 1
    expected = weight * given.inputs + (1 - weight) * given.inputs.roll(1, 0)
    torch.testing.assert_close(mixed.inputs, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixed.further["strong"], 2 * mixed.inputs)
    assert mixed.labels is None


def test_the_mean_over_the_batch_is_kept() -> None:
    torch.testing.assert_close(mixup(batch(), 5).inputs.mean(0), batch().inputs.mean(0))


def test_weights_are_keyed_by_seed_epoch_and_batch_and_uniform() -> None:
    ones = replace(batch(), inputs=torch.tensor([[0.0], [1.0]]), index=torch.arange(2), further={})

    def weight(epoch: int, seed: int, number: int) -> float:
        return float(mixup(replace(ones, view=View("none", seed, epoch)), number).inputs[1, 0])

    assert weight(1, 0, 0) == weight(1, 0, 0)
    values = [weight(epoch, seed, number) for epoch in (1, 2) for seed in (0, 1) for number in range(100)]
    assert len(set(values)) == 400
    assert min(values) >= 0.5
    assert abs(sum(values) / 400 - 0.75) < 0.03
