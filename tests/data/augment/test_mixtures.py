from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from preceptor.data.augment.mixed_inputs import MixedInputs
from preceptor.data.augment.mixtures import CutMix, FunctionMatching, MixPatch, Mixup, Noise
from preceptor.errors import UsageError
from preceptor.types import Batch, View

MIXING: list[MixedInputs] = [Mixup(), Mixup(per_sample=True), CutMix(), MixPatch(), FunctionMatching()]


def batch(epoch: int = 1, seed: int = 0) -> Batch:
    inputs = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    return Batch(inputs, labels, torch.arange(6) + 40, View("none", seed, epoch), {"strong": 2 * inputs})


@pytest.mark.parametrize("policy", [*MIXING, Noise()], ids=str)
def test_mixed_inputs_have_neither_label_nor_row(policy: MixedInputs) -> None:
    samples = batch()
    mixed = policy(samples, 0)
    assert mixed.labels is None
    assert not mixed.renormalise
    assert len(mixed.index) == 0
    assert mixed.inputs.shape == samples.inputs.shape
    assert not torch.equal(mixed.inputs, samples.inputs)


@pytest.mark.parametrize("policy", [*MIXING, Noise()], ids=str)
def test_what_is_drawn_is_keyed_by_seed_epoch_and_batch(policy: MixedInputs) -> None:
    def mixed(epoch: int, seed: int, number: int) -> torch.Tensor:
        return policy(batch(epoch, seed), number).inputs

    assert torch.equal(mixed(1, 0, 0), mixed(1, 0, 0))
    for other in ((2, 0, 0), (1, 1, 0), (1, 0, 1)):
        assert not torch.equal(mixed(1, 0, 0), mixed(*other))


@pytest.mark.parametrize("policy", MIXING, ids=str)
def test_every_row_is_mixed_with_one_partner_and_extra_views_alike(policy: MixedInputs) -> None:
    mixed = policy(batch(), 2)
    torch.testing.assert_close(mixed.extra_views["strong"], 2 * mixed.inputs)
    if not (isinstance(policy, Mixup) and policy.per_sample):
        torch.testing.assert_close(mixed.inputs.mean(0), batch().inputs.mean(0))


@pytest.mark.parametrize("policy", MIXING, ids=str)
def test_labels_are_mixed_as_the_inputs_are(policy: MixedInputs) -> None:
    """An image that is constant and equal to its label shows its own label after mixing."""
    samples = batch()
    assert samples.labels is not None
    constant = samples.labels.float()[:, None, None, None].expand(6, 1, 8, 8)
    for number in range(20):
        mixed = policy(replace(samples, inputs=constant, extra_views={}), number, num_classes=4)
        assert mixed.labels is not None
        torch.testing.assert_close(mixed.labels.sum(1), torch.ones(6))
        expected = (mixed.labels * torch.arange(4)).sum(1)
        torch.testing.assert_close(mixed.inputs.mean((1, 2, 3)), expected)


def test_cutmix_pastes_and_counts_the_area_exactly() -> None:
    samples = replace(batch(), inputs=torch.arange(6.0)[:, None, None, None].expand(6, 1, 8, 8), extra_views={})
    seen = set()
    for number in range(40):
        mixed = CutMix()(replace(samples, labels=torch.arange(6)), number, num_classes=6)
        assert mixed.labels is not None
        for row in range(6):
            values, counts = mixed.inputs[row].unique(return_counts=True)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                assert float(mixed.labels[row, int(value)]) == pytest.approx(count / 64)
        seen.add(round(float(mixed.labels[0, 0]), 4))
    assert len(seen) > 10


def test_function_matching_keeps_the_greater_part_and_takes_the_next_row() -> None:
    ones = replace(batch(), inputs=torch.tensor([[0.0], [1.0]]), index=torch.arange(2), labels=None, extra_views={})
    values = [
        float(FunctionMatching()(replace(ones, view=View("none", seed, epoch)), number).inputs[1, 0])
        for epoch in (1, 2)
        for seed in (0, 1)
        for number in range(100)
    ]
    assert len(set(values)) == 400
    assert min(values) >= 0.5
    assert abs(sum(values) / 400 - 0.75) < 0.03
    three = replace(ones, inputs=torch.eye(3), index=torch.arange(3))
    assert (FunctionMatching()(three, 0).inputs > 0).tolist() == [
        [True, False, True],
        [True, True, False],
        [False, True, True],
    ]


def test_a_patch_as_large_as_the_image_is_mixup() -> None:
    samples = batch()
    mixed = MixPatch(patch_size=8)(samples, 0).inputs
    torch.testing.assert_close(mixed, Mixup()(samples, 0).inputs)


def test_noise_has_its_deviation_and_keeps_labels_in_teaching() -> None:
    samples = replace(batch(), inputs=torch.zeros(6, 3, 64, 64), extra_views={})
    mixed = Noise(deviation=0.3)(samples, 0, num_classes=4)
    assert float(mixed.inputs.std()) == pytest.approx(0.3, rel=0.02)
    assert mixed.labels is not None
    assert mixed.labels.argmax(1).tolist() == [0, 1, 2, 3, 0, 1]
    assert mixed.labels.max(1).values.eq(1).all()


def test_added_rows_come_after_the_samples() -> None:
    samples = batch()
    mixed = Mixup(add=True)(samples, 0)
    assert torch.equal(mixed.inputs[:6], samples.inputs)
    torch.testing.assert_close(mixed.inputs[6:], Mixup()(samples, 0).inputs)
    assert mixed.labels is not None
    assert torch.equal(mixed.labels, samples.labels if samples.labels is not None else torch.empty(0))
    assert mixed.num_labelled == len(mixed.index) == 6
    assert len(mixed.extra_views["strong"]) == 12
    taught = Mixup(add=True)(samples, 0, num_classes=4)
    assert taught.labels is not None
    assert taught.labels.shape == (12, 4)
    assert Mixup(add=True).rows(64) == 128


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Mixup(alpha=0.0), "alpha: 0.0 is not above 0"),
        (lambda: MixPatch(alpha=-1.0), "alpha: -1.0 is not above 0"),
        (lambda: Mixup(real_share=1.0), r"real_share: 1.0 is not in \[0, 1\)"),
        (lambda: Noise(deviation=0.0), "deviation: 0.0 is not above 0"),
    ],
)
def test_hyperparameters_out_of_range(make: type[MixedInputs], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_vectors_cannot_be_cut_nor_tiled() -> None:
    for policy in (CutMix(), MixPatch()):
        with pytest.raises(UsageError, match=r"works on images, and the inputs have shape \(30,\)"):
            policy.check((30,))
    Mixup().check((30,))
    with pytest.raises(UsageError, match=r"inputs.patch_size: 3 does not divide images of 8 x 8"):
        MixPatch(patch_size=3).check((1, 8, 8))
