from __future__ import annotations

from collections.abc import Iterable

import torch

from preceptor.data.augment.regions import Region, RegionSearch
from preceptor.types import Batch, View

CANDIDATES: list[Region] = [(0.1, 2), (1.0, 4), (1.0, 2)]


def search(moves: list[Region]) -> RegionSearch:
    """A search whose batches carry their region and epoch as inputs."""

    def mixed_batches(region: Region, epoch: int) -> Iterable[Batch]:
        values = torch.tensor([[region[0], region[1], epoch]])
        return [Batch(values, None, torch.empty(0, dtype=torch.int64), View("none", 0, epoch))]

    return RegionSearch(
        CANDIDATES, (0.5, 8), every=3, temperature=4.0, mixed_batches=mixed_batches, mix_in=moves.append
    )


def test_the_region_with_the_greatest_disagreement_is_mixed_in() -> None:
    moves: list[Region] = []
    measured: list[list[float]] = []

    def disagreement(batches: Iterable[Batch], temperature: float) -> float:
        (batch,) = batches
        measured.append([*batch.inputs[0].tolist(), temperature])
        return {4.0: 0.7}.get(float(batch.inputs[0, 1]), 0.2)

    found = search(moves)
    assert found.region == (0.5, 8)
    assert found.begin(3, disagreement) == "epoch 3: mixing with alpha 1, patches of 4, where KL is 0.7"
    assert moves == [found.region] == [(1.0, 4)]
    torch.testing.assert_close(torch.tensor(measured), torch.tensor([[*region, 3, 4.0] for region in CANDIDATES]))


def test_a_search_is_due_every_few_epochs_but_not_before_the_first() -> None:
    moves: list[Region] = []
    regions = search(moves)
    due = [epoch for epoch in range(1, 10) if regions.begin(epoch, lambda batches, temperature: 0.0) is not None]
    assert due == [3, 6, 9]
    assert moves == [CANDIDATES[0]] * 3
    each = RegionSearch(
        CANDIDATES, (0.5, 8), every=1, temperature=4.0, mixed_batches=lambda *_: [], mix_in=moves.append
    )
    assert [epoch for epoch in range(1, 4) if each.begin(epoch, lambda batches, temperature: 0.0)] == [2, 3]


def test_a_resumed_run_moves_back_to_its_region() -> None:
    moves: list[Region] = []
    regions = search(moves)
    regions.move_to((1.0, 2))
    assert moves == [regions.region] == [(1.0, 2)]
