"""Batches of chosen rows in chosen views, read ahead by other processes; and all rows in order, plain, for evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import tee

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from preceptor.data.augment.composition import check_view_name, view_of
from preceptor.data.dataset import Normalisation
from preceptor.data.split import Arrays, Split
from preceptor.errors import UsageError
from preceptor.types import Batch, View

__all__ = ["Request", "Shard", "check_views", "make_batch", "plain_batches", "read_ahead", "shard_of", "view_batches"]

Request = tuple[View, Tensor]  # a view, and the rows to be read for it
Shard = tuple[Tensor, float]  # one process's rows of a batch, and their `Batch.share`
_Read = tuple[Tensor, Tensor | None] | UsageError


def check_views(split: Split, view: str, extra_views: Sequence[str] = ()) -> None:
    """Check that these views can be made of a split's samples.

    Raises:
        UsageError: as for `check_view_name`, or for a view of images on inputs that are not uint8 images.
    """
    check_view_name(view)
    sample = split.inputs(torch.tensor([0]))
    if (view != "none" or extra_views) and (sample.dtype != torch.uint8 or sample.ndim != 4):
        what, way_out = (
            (f"data.view: {view}", "use data.view=none")
            if view != "none"
            else (f"view {extra_views[0]}", "this method cannot be used with them")
        )
        raise UsageError(
            f"{what} works on uint8 images, and the inputs are {sample.dtype} {tuple(sample.shape[1:])}; {way_out}"
        )
    if any(name.startswith("rotated") for name in extra_views) and sample.shape[2] != sample.shape[3]:
        raise UsageError(f"view {extra_views[0]} needs square images, and the inputs are {tuple(sample.shape[1:])}")


def view_batches(
    split: Split,
    requests: Iterable[Request],
    normalisation: Normalisation,
    device: torch.device,
    *,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield a batch for each request.

    Args:
        split: the samples.
        requests: a view and rows each; consumed only as far as is read ahead.
        normalisation: applied after the view.
        device: where batches live.
        workers: processes that read ahead, for splits that are not in memory; 0: none.
    """
    to_read, to_yield = tee(requests)
    inputs = read_ahead(split, to_read, device=device, workers=workers, seed=0)
    for (view, rows), (read, _) in zip(to_yield, inputs, strict=True):
        yield make_batch(read, split, rows, view, normalisation)


def plain_batches(
    split: Split,
    normalisation: Normalisation,
    batch_size: int,
    device: torch.device,
    *,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """Yield all samples in order, without augmentation.

    Args:
        split: the samples.
        normalisation: applied to them.
        batch_size: samples per batch, over all processes.
        device: where batches live.
        workers: as for `view_batches`.
        rank: of this process. It reads only every `world_size`-th row of each batch, from row `rank` on.
        world_size: processes that share each batch. All get as many batches: a process without a row in the last one gets
            a row of another, with share 0.
    """
    view = View("none", 0, 0)
    batches = torch.split(torch.arange(len(split)), batch_size) if len(split) else ()
    shards = [shard_of(rows, rank, world_size) for rows in batches]
    requests = [(view, rows) for rows, _ in shards]
    plain = view_batches(split, requests, normalisation, device, workers=min(workers, len(requests)))
    for (_, share), batch in zip(shards, plain, strict=True):
        yield replace(batch, share=share)


def shard_of(rows: Tensor, rank: int, world_size: int) -> Shard:
    """Return a process's rows of a batch and their `Batch.share`; without any, the first row, with share 0."""
    own = rows[rank::world_size]
    return (own, len(own) * world_size / len(rows)) if len(own) else (rows[:1], 0.0)


def make_batch(read: Tensor, split: Split, rows: Tensor, view: View, normalisation: Normalisation) -> Batch:
    """Return the batch of some rows of a split, in one view.

    Args:
        read: the rows as `Split.read` returns them for this view, on the device of the batch.
        split: has their labels, and may have made the view already.
        rows: of the split.
        view: which augmentation.
        normalisation: applied after it.
    """
    index = rows.to(read.device)
    labels = split.labels[rows.to(split.labels.device)].to(read.device)
    augmented = view_of(view.name, split.makes)(read, view.seed, view.epoch, index)
    return Batch(normalisation(augmented), labels, index, view)


def read_ahead(
    split: Split,
    requests: Iterable[Request],
    *,
    device: torch.device,
    workers: int,
    seed: int,
    also_raw: bool = False,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the rows of each request as `Split.read` returns them, on the device, and the raw rows or None.

    Args:
        split: the samples.
        requests: a view and rows each.
        device: where the rows go.
        workers: processes that read ahead, for splits that are not in memory; 0: none.
        seed: of those processes.
        also_raw: whether to read the raw rows, too.

    Raises:
        UsageError: when a row cannot be read.
    """
    reader = _Reader(split, also_raw)
    if isinstance(split, Arrays) or workers == 0:
        yield from _placed((reader[request] for request in requests), device)
        return
    ahead = iter(
        DataLoader(
            reader,
            batch_size=None,
            sampler=requests,  # type: ignore[arg-type]
            num_workers=workers,
            pin_memory=device.type == "cuda",
            generator=torch.Generator().manual_seed(seed),  # the run's own random numbers stay untouched
        )
    )
    try:
        yield from _placed(ahead, device)
    finally:  # not when whoever keeps the error's traceback lets go of it
        ahead._shutdown_workers()  # type: ignore[attr-defined]


def _placed(reads: Iterable[_Read], device: torch.device) -> Iterator[tuple[Tensor, Tensor | None]]:
    for read in reads:
        if isinstance(read, UsageError):
            raise read
        rows, raw = read
        yield rows.to(device, non_blocking=True), None if raw is None else raw.to(device, non_blocking=True)


class _Reader(Dataset[_Read]):
    """Reads one request at a time.

    A user's mistake is returned, not raised: raised in another process, its message would become its whole traceback.
    """

    def __init__(self, split: Split, also_raw: bool) -> None:
        self._split = split
        self._also_raw = also_raw

    def __getitem__(self, request: Request) -> _Read:
        view, rows = request
        index = rows.to(self._split.labels.device)
        try:
            return self._split.read(index, view), self._split.inputs(index) if self._also_raw else None
        except UsageError as error:
            return error
