from __future__ import annotations

import torch

from preceptor.data import Arrays, Loader, LoaderSettings, Normalisation, PlainInputs, PolicyLoader
from preceptor.data.augment.mixtures import Mixup


def split(count: int) -> Arrays:
    return Arrays(torch.arange(count).float()[:, None], torch.arange(count) % 3)


def loader(samples: Arrays, size: int) -> Loader:
    return Loader(
        samples,
        LoaderSettings(batch_size=size, view="none", normalisation=Normalisation(), seed=0, device=torch.device("cpu")),
    )


def test_a_policy_is_applied_by_the_number_of_the_batch() -> None:
    source = loader(split(12), 4)
    batches = list(PolicyLoader(source, Mixup()).batches(1))
    later = list(PolicyLoader(source, Mixup()).batches(1, start=1))
    assert PolicyLoader(source, Mixup()).num_batches == len(batches) == 3
    for one, other in zip(batches[1:], later, strict=True):
        assert torch.equal(one.inputs, other.inputs)
    assert batches[0].labels is None
    taught = next(PolicyLoader(source, Mixup(), mixed_labels=3).batches(1))
    assert taught.labels is not None
    assert taught.labels.shape == (4, 3)


def test_processes_share_what_a_policy_makes_of_gathered_batches() -> None:
    source, by_rank = loader(split(10), 4), []
    for rank in range(3):
        shared = PolicyLoader(source, Mixup(), gather_batch=lambda batch: batch, rank=rank, world_size=3)
        by_rank.append(list(shared.showing(Mixup(alpha=0.5)).batches(1)))
    for full, *shards in zip(PolicyLoader(source, Mixup(alpha=0.5)).batches(1), *by_rank, strict=True):
        rows = [shard.inputs if shard.share > 0 else shard.inputs[:0] for shard in shards]
        in_turn = [rows[row % 3][row // 3] for row in range(len(full.inputs))]
        torch.testing.assert_close(torch.stack(in_turn), full.inputs)
        assert sum(shard.share for shard in shards) == 3


def test_plain_inputs_are_the_batch_itself() -> None:
    source = loader(split(12), 4)
    batch = next(source.batches(1))
    assert PlainInputs()(batch, 3) is batch
    assert PlainInputs().epochs(7.0) == 7
    assert PlainInputs().region_search(PolicyLoader(source, PlainInputs()), (1,), 7) is None
