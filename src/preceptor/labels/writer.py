"""Writing labels: file by file, so that an interruption loses at most one; intact files are never made again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.files import LOCK, is_temporary, lock_folder, remove_temporaries, write_atomically
from preceptor.labels.encoding import Encoding
from preceptor.labels.manifest import Manifest
from preceptor.labels.store import sha256
from preceptor.messages import first_few
from preceptor.reading import is_regular

__all__ = ["check_folder", "write_labels"]

Request = tuple[int, Int[Tensor, " rows"]]  # a view, and rows of the training split
Predict = Callable[[Iterable[Request]], Iterator[Float[Tensor, "rows classes"]]]


def write_labels(
    folder: str | Path,
    manifest: Manifest,
    predict: Predict,
    *,
    batch_size: int = 256,
    advance: Callable[[int], None] = lambda rows: None,
    rank: int = 0,
    world_size: int = 1,
    gather: Callable[[Any], list[Any]] = lambda value: [value],
) -> Manifest:
    """Write the labels that `manifest` describes, as far as they are missing, and return the final manifest.

    A folder with the same labels is resumed: missing files are made, damaged files are made again, and a larger number of
    views adds the new ones. Several processes share the batches of each file, and the first one writes it; the batches do
    not depend on the number of processes.

    Args:
        folder: made where it does not exist.
        manifest: what is wanted; its `shards` are ignored.
        predict: returns the logits of each request (view, rows of the training split) in order; it may look ahead.
        batch_size: rows per request.
        advance: called with the number of rows done: of each batch, those of the other processes included, and of intact files.
        rank: of this process among those that write the folder together.
        world_size: how many processes these are.
        gather: takes a value of this process and returns those of all processes, in order.

    Raises:
        UsageError: when the folder holds something else, is in use by another process, or holds labels that
            depend on something else: each difference is named. All processes raise the error of one.
        RunError: when the disk refuses.
    """
    path, is_first = Path(folder), rank == 0
    with ExitStack() as lock:
        claimed = _gathered(gather, partial(_claim, path, manifest, lock) if is_first else lambda: None)
        manifest = claimed[0]
        files = [_File(*expected, batch_size) for expected in manifest.expected()]
        missing = [file for file in files if file.name not in manifest.shards]
        advance(sum(len(file.rows) for file in files if file.name in manifest.shards))
        logits = predict(
            (file.view, torch.arange(batch.start, batch.stop))
            for file in missing
            for batch in file.batches(rank, world_size)
        )
        for file in missing:
            encode = partial(_encode, file, logits, manifest.source.encoding, advance)
            records = _gathered(gather, partial(encode, rank=rank, world_size=world_size))
            if is_first:
                manifest = _write(path, file, records, manifest)
        final: Manifest = gather(manifest)[0]
        return final


@dataclass(frozen=True, slots=True)
class _File:
    """A file of labels; its batches are dealt to the processes in turn."""

    name: str
    view: int
    rows: range
    batch_size: int

    def batches(self, rank: int, world_size: int) -> Iterator[range]:
        """Yield the rows of each batch of one process."""
        for start in self.rows[:: self.batch_size][rank::world_size]:
            yield range(start, min(start + self.batch_size, self.rows.stop))


def _gathered(gather: Callable[[Any], list[Any]], make: Callable[[], Any]) -> list[Any]:
    """Return what each process makes; all raise the first error of any process."""
    try:
        own = make()
    except UsageError as error:
        own = error
    values = gather(own)
    for value in values:
        if isinstance(value, UsageError):
            raise value
    return values


def _encode(
    file: _File,
    logits: Iterator[Tensor],
    encoding: Encoding,
    advance: Callable[[int], None],
    *,
    rank: int,
    world_size: int,
) -> list[NDArray[Any]]:
    """Return the records of this process's batches of a file."""
    records = []
    for batch in file.batches(rank, world_size):
        try:
            records.append(encoding.encode(next(logits)))
        except UsageError as error:
            raise UsageError(f"labels: view {file.view}, samples {batch[0]} to {batch[-1]}: {error}") from error
        advance(len(file.rows[batch.start - file.rows.start :][: world_size * file.batch_size]))
    return records


def _write(path: Path, file: _File, records: Sequence[Sequence[NDArray[Any]]], manifest: Manifest) -> Manifest:
    """Write a file from the records of each process, and the manifest that lists it."""
    merged = np.empty(len(file.rows), manifest.source.encoding.record)
    for rank, own in enumerate(records):
        for batch, rows in zip(file.batches(rank, len(records)), own, strict=True):
            merged[batch.start - file.rows.start : batch.stop - file.rows.start] = rows
    write_atomically(path / file.name, partial(np.save, arr=merged, allow_pickle=False))
    manifest = replace(manifest, shards={**manifest.shards, file.name: sha256(path / file.name)})
    manifest.write(path)
    return manifest


def check_folder(path: Path) -> None:
    """Check that labels may be written into a folder, before it is known which labels.

    Raises:
        UsageError: when it is a file, or holds something else.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"out: {path} is a file, not a folder")
    names = {entry.name for entry in path.iterdir()} if path.exists() else set()
    content = sorted(name for name in names - {LOCK} if not is_temporary(name))  # of a writer that was killed
    if content and "manifest.json" not in content:
        raise UsageError(
            f"out: {path} is not empty and holds no labels ({first_few(content, 1)}); choose another folder"
        )


def _claim(path: Path, wanted: Manifest, lock: ExitStack) -> Manifest:
    """Lock the folder until `lock` is closed, and return the manifest with the files that are intact."""
    check_folder(path)
    lock.enter_context(lock_folder(path))
    remove_temporaries(path)
    intact: dict[str, str] = {}
    rows_per_shard, views = wanted.rows_per_shard, wanted.views
    if (path / "manifest.json").exists():
        stored = Manifest.read(path)
        differences = stored.source.differences(wanted.source)
        if differences:
            raise UsageError(f"out: {path} holds other labels: {'; '.join(differences)}")
        intact = {
            name: digest
            for name, digest in stored.shards.items()
            if is_regular(path / name) and sha256(path / name) == digest
        }
        rows_per_shard, views = stored.rows_per_shard, max(stored.views, wanted.views)
    manifest = replace(wanted, shards=intact, rows_per_shard=rows_per_shard, views=views)
    manifest.write(path)
    return manifest
