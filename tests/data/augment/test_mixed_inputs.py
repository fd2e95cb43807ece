from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from preceptor.data.augment.mixed_inputs import MixedInputs, Mixing
from preceptor.types import Batch, View


@dataclass(frozen=True)
class Negated(MixedInputs):
    """Shows each input negated, its label distribution reversed."""

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Mixing:
        return Mixing(lambda values: -values, lambda labels: labels.flip(1))


BATCH = Batch(
    torch.ones(2, 3), torch.tensor([0, 1]), torch.tensor([7, 8]), View("none", 0, 1), {"strong": torch.ones(2, 3)}
)


def test_mixed_inputs_replace_the_samples_or_follow_them() -> None:
    mixed, added = Negated()(BATCH, 0), Negated(add=True)(BATCH, 0)
    assert mixed.inputs.tolist() == mixed.extra_views["strong"].tolist() == [[-1.0] * 3] * 2
    assert (mixed.labels, mixed.index.tolist()) == (None, [])
    assert added.inputs[:, 0].tolist() == [1.0, 1.0, -1.0, -1.0]
    assert added.index.tolist() == [7, 8]
    assert (Negated().rows(5), Negated(add=True).rows(5)) == (5, 10)
    assert Negated().replaces_samples
    assert not Negated(add=True).replaces_samples


def test_labels_are_mixed_when_a_teacher_is_trained() -> None:
    added = Negated(add=True)(BATCH, 0, num_classes=2)
    assert added.labels is not None
    assert added.labels.tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]


def test_a_share_of_real_batches_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"real_share: 1 is not in \[0, 1\)"):
        Negated(real_share=1)
