from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from preceptor.data.augment.policies import (
    POLICIES,
    CutMix,
    FunctionMatching,
    KDPlus,
    MixedInputs,
    MixPatch,
    Mixup,
    Noise,
    PlainInputs,
    Policy,
)
from preceptor.errors import UsageError
from preceptor.types import Batch, View

MIXING: list[MixedInputs] = [Mixup(), Mixup(per_sample=True), CutMix(), MixPatch(), FunctionMatching()]


def batch(epoch: int = 1, seed: int = 0) -> Batch:
    inputs = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    return Batch(inputs, labels, torch.arange(6) + 40, View("none", seed, epoch), {"strong": 2 * inputs})


def test_real_is_the_batch_itself() -> None:
    given = batch()
    assert PlainInputs()(given, 3) is given


@pytest.mark.parametrize("policy", [*MIXING, Noise()], ids=str)
def test_inputs_beyond_the_samples_have_neither_label_nor_row(policy: MixedInputs) -> None:
    given = batch()
    shown = policy(given, 0)
    assert shown.labels is None
    assert len(shown.index) == 0
    assert shown.inputs.shape == given.inputs.shape
    assert not torch.equal(shown.inputs, given.inputs)


@pytest.mark.parametrize("policy", [*MIXING, Noise()], ids=str)
def test_what_is_drawn_is_keyed_by_seed_epoch_and_batch(policy: MixedInputs) -> None:
    def shown(epoch: int, seed: int, number: int) -> torch.Tensor:
        return policy(batch(epoch, seed), number).inputs

    assert torch.equal(shown(1, 0, 0), shown(1, 0, 0))
    for other in ((2, 0, 0), (1, 1, 0), (1, 0, 1)):
        assert not torch.equal(shown(1, 0, 0), shown(*other))


@pytest.mark.parametrize("policy", MIXING, ids=str)
def test_every_row_is_mixed_with_one_partner_and_further_views_alike(policy: MixedInputs) -> None:
    shown = policy(batch(), 2)
    torch.testing.assert_close(shown.extra_views["strong"], 2 * shown.inputs)
    if not (isinstance(policy, Mixup) and policy.per_sample):
        torch.testing.assert_close(shown.inputs.mean(0), batch().inputs.mean(0))


@pytest.mark.parametrize("policy", MIXING, ids=str)
def test_labels_are_mixed_as_the_inputs_are(policy: MixedInputs) -> None:
    """An image that is constant and equal to its label shows its own label after mixing."""
    given = batch()
    assert given.labels is not None
    constant = given.labels.float()[:, None, None, None].expand(6, 1, 8, 8)
    for number in range(20):
        shown = policy(replace(given, inputs=constant, extra_views={}), number, num_classes=4)
        assert shown.labels is not None
        torch.testing.assert_close(shown.labels.sum(1), torch.ones(6))
        expected = (shown.labels * torch.arange(4)).sum(1)
        torch.testing.assert_close(shown.inputs.mean((1, 2, 3)), expected)


def test_cutmix_pastes_and_counts_the_area_exactly() -> None:
    given = replace(batch(), inputs=torch.arange(6.0)[:, None, None, None].expand(6, 1, 8, 8), extra_views={})
    seen = set()
    for number in range(40):
        shown = CutMix()(replace(given, labels=torch.arange(6)), number, num_classes=6)
        assert shown.labels is not None
        for row in range(6):
            values, counts = shown.inputs[row].unique(return_counts=True)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                assert float(shown.labels[row, int(value)]) == pytest.approx(count / 64)
        seen.add(round(float(shown.labels[0, 0]), 4))
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
    given = batch()
    shown = MixPatch(patch_size=8)(given, 0).inputs
    torch.testing.assert_close(shown, Mixup()(given, 0).inputs)


def test_noise_has_its_deviation_and_keeps_labels_in_teaching() -> None:
    given = replace(batch(), inputs=torch.zeros(6, 3, 64, 64), extra_views={})
    shown = Noise(deviation=0.3)(given, 0, num_classes=4)
    assert float(shown.inputs.std()) == pytest.approx(0.3, rel=0.02)
    assert shown.labels is not None
    assert shown.labels.argmax(1).tolist() == [0, 1, 2, 3, 0, 1]
    assert shown.labels.max(1).values.eq(1).all()


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_a_share_of_batches_stays_real(share: float) -> None:
    given = batch()
    real = sum(KDPlus(real_share=share)(given, number) is given for number in range(2000)) / 2000
    assert real == pytest.approx(share, abs=0.03)


def test_kd_plus_hands_weights_over_on_mixed_batches_only() -> None:
    given = batch()
    shown = [KDPlus()(given, number) for number in range(30)]
    assert {(one.labels is None, one.renormalise) for one in shown} == {(True, True), (False, False)}
    assert not any(policy(given, 0).renormalise for policy in MIXING)


def test_added_rows_come_after_the_samples() -> None:
    given = batch()
    shown = Mixup(add=True)(given, 0)
    assert torch.equal(shown.inputs[:6], given.inputs)
    torch.testing.assert_close(shown.inputs[6:], Mixup()(given, 0).inputs)
    assert shown.labels is not None
    assert torch.equal(shown.labels, given.labels if given.labels is not None else torch.empty(0))
    assert shown.num_labelled == len(shown.index) == 6
    assert len(shown.extra_views["strong"]) == 12
    taught = Mixup(add=True)(given, 0, num_classes=4)
    assert taught.labels is not None
    assert taught.labels.shape == (12, 4)
    assert Mixup(add=True).rows(64) == 128


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Mixup(alpha=0.0), "alpha: 0.0 is not above 0"),
        (lambda: MixPatch(alpha=-1.0), "alpha: -1.0 is not above 0"),
        (lambda: Mixup(real_share=1.0), r"real_share: 1.0 is not in \[0, 1\)"),
        (lambda: KDPlus(real_share=0.0), "real_share: 0 would leave no batch with labels"),
        (lambda: KDPlus(search_every=0), "search_every: 0 is not above 0"),
        (lambda: Noise(deviation=0.0), "deviation: 0.0 is not above 0"),
    ],
)
def test_knobs_out_of_range(make: type[Policy], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_vectors_cannot_be_cut_nor_tiled() -> None:
    for policy in (CutMix(), MixPatch(), KDPlus()):
        with pytest.raises(UsageError, match=r"works on images, and the inputs have shape \(30,\)"):
            policy.check((30,))
    Mixup().check((30,))
    with pytest.raises(UsageError, match=r"inputs.patch_size: 3 does not divide images of 8 x 8"):
        MixPatch(patch_size=3).check((1, 8, 8))
    with pytest.raises(UsageError, match=r"inputs.patch_size: 5 does not divide"):
        KDPlus(search=True, patch_sizes=(4, 5)).check((1, 8, 8))


def test_every_policy_can_be_made_by_name_alone() -> None:
    assert {name: kind().goes_beyond for name, kind in POLICIES.items()} == {
        "real": False,
        "mixup": True,
        "cutmix": True,
        "mixpatch": True,
        "kd_plus": True,
        "function_matching": True,
        "noise": True,
    }
