from __future__ import annotations

import pytest
import torch

from preceptor.data import Arrays, Loader, LoaderSettings, Normalisation, PolicyLoader
from preceptor.data.augment.kd_plus import KDPlus
from preceptor.data.augment.mixtures import MixPatch
from preceptor.errors import UsageError
from preceptor.types import Batch, View


def batch() -> Batch:
    inputs = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch(inputs, torch.tensor([0, 1, 2, 3, 0, 1]), torch.arange(6) + 40, View("none", 0, 1))


def policy_loader(policy: KDPlus) -> PolicyLoader:
    split = Arrays(torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2)
    device = torch.device("cpu")
    source = Loader(
        split, LoaderSettings(batch_size=4, view="none", normalisation=Normalisation(), seed=0, device=device)
    )
    return PolicyLoader(source, policy)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_a_share_of_batches_stays_real(share: float) -> None:
    samples = batch()
    real = sum(KDPlus(real_share=share)(samples, number) is samples for number in range(2000)) / 2000
    assert real == pytest.approx(share, abs=0.03)


def test_terms_renormalise_on_mixed_batches_only() -> None:
    samples = batch()
    batches = [KDPlus()(samples, number) for number in range(30)]
    assert {(one.labels is None, one.renormalise) for one in batches} == {(True, True), (False, False)}


def test_a_run_that_matches_the_real_batches_is_longer() -> None:
    assert KDPlus(real_share=0.3).epochs(7) == 7
    assert KDPlus(real_share=0.3, match="real_batches").epochs(7) == 23


def test_a_search_changes_the_policy_of_the_run_only() -> None:
    policy = KDPlus(real_share=0.5, search=True, alphas=(1.0, 0.1), search_every=0.25, search_temperature=2.0)
    loader = policy_loader(policy)
    search = policy.region_search(loader, (1, 4, 4), 8)
    assert search is not None
    assert (search.candidates, search.region, search.every) == ([(0.1, 2), (1.0, 4), (1.0, 2)], (1.0, 2), 2)
    measured: list[list[torch.Tensor]] = []

    def disagreement(batches: object, temperature: float) -> float:
        assert temperature == 2.0
        measured.append([each.inputs for each in batches])  # type: ignore[attr-defined]
        return -float(len(measured))

    search.begin(2, disagreement)
    assert isinstance(loader.policy, KDPlus)
    assert (loader.policy.alpha, loader.policy.patch_size, loader.policy.real_share) == (0.1, 2, 0.5)
    expected = loader.showing(MixPatch(alpha=1.0, patch_size=4)).batches(2)
    assert all(one.equal(other.inputs) for one, other in zip(measured[1], expected, strict=True))
    assert KDPlus().region_search(loader, (30,), 8) is None


def searches(policy: KDPlus, length: int) -> list[int]:
    """Return the epochs that begin with a search in a run whose real batches fill `length` epochs."""
    epochs = policy.epochs(length)
    search = policy.region_search(policy_loader(policy), (1, 4, 4), epochs)
    assert search is not None
    return [epoch for epoch in range(1, epochs + 1) if search.begin(epoch, lambda batches, temperature: 0.0)]


@pytest.mark.parametrize("every", [50, 50 / 240])
@pytest.mark.parametrize(
    ("share", "expected"), [(0.3, [166, 332, 498, 664]), (0.1, [500, 1000, 1500, 2000]), (0.7, [71, 142, 213, 284])]
)
def test_searches_come_when_the_released_code_makes_them(every: float, share: float, expected: list[int]) -> None:
    """Their interval is int(50 / share), in a run of int(240 / share) epochs."""
    policy = KDPlus(real_share=share, search=True, search_every=every, match="real_batches")
    assert searches(policy, 240) == expected


def test_an_interval_in_epochs_grows_only_with_the_run() -> None:
    assert searches(KDPlus(real_share=0.3, search=True, search_every=5), 24) == [5, 10, 15, 20]
    assert searches(KDPlus(real_share=0.3, search=True), 24) == [5, 10, 15, 20]
    assert searches(KDPlus(real_share=0.3, search=True), 2) == [2]


def test_a_search_after_the_end_is_told() -> None:
    late = KDPlus(search=True, search_every=50, match="real_batches")
    assert late.notes(80) == (
        "warning: inputs.search_every: the first search would come in epoch 166 of 80; a time below 1 is a share of the run",
    )
    assert late.notes(166) == KDPlus(search_every=50).notes(2) == KDPlus(search=True).notes(2) == ()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="real_share: 0 would leave no batch with labels"):
        KDPlus(real_share=0.0)
    with pytest.raises(ValueError, match="search_every: 0 is not above 0"):
        KDPlus(search_every=0)
    with pytest.raises(UsageError, match=r"works on images, and the inputs have shape \(30,\)"):
        KDPlus().check((30,))
    with pytest.raises(UsageError, match=r"inputs.patch_size: 5 does not divide"):
        KDPlus(search=True, patch_sizes=(4, 5)).check((1, 8, 8))
