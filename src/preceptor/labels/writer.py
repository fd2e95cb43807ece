"""Writing labels: file by file, so that an interruption loses at most one; what is there and whole is never made again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.files import LOCK, lock_folder, write_atomically
from preceptor.labels.encoding import Encoding
from preceptor.labels.manifest import Manifest
from preceptor.labels.store import sha256

__all__ = ["write_labels"]

Value = TypeVar("Value")
Asked = tuple[int, Int[Tensor, " rows"]]
Answers = Callable[[Iterable[Asked]], Iterator[Float[Tensor, "rows classes"]]]


def write_labels(
    folder: str | Path,
    manifest: Manifest,
    answers: Answers,
    *,
    batch_size: int = 256,
    done: Callable[[int], None] = lambda rows: None,
    part: tuple[int, int] = (0, 1),
    gather: Callable[[Any], list[Any]] = lambda value: [value],
) -> Manifest:
    """Write what is missing of the labels that `manifest` describes, and return the manifest as it then stands.

    A folder that holds the same labels is gone on with: missing files are made, files whose sha256 differs are made
    again, and a larger number of views adds the new ones. Several processes share the batches of each file, and the first
    one writes it; the batches are the same, however many share them.

    Args:
        folder: made where it does not exist.
        manifest: what is wanted; its `shards` are ignored.
        answers: (view, rows of the training split), one after another -> their logits; it may look ahead.
        batch_size: rows asked about at once.
        done: hears the number of rows of each batch, with those that others answer meanwhile, and of each file that was there.
        part: (number, count) of this process among those that write the folder together.
        gather: takes what this process has and returns what each of them has, in order.

    Raises:
        UsageError: when the folder holds something else, is in use by another process, or holds labels that
            depend on something else: each difference is named. All processes raise what one of them finds.
        RunError: when the disk refuses.
    """
    path, is_first = Path(folder), part[0] == 0
    with ExitStack() as kept:
        claimed = _agreed(gather, partial(_claim, path, manifest, kept) if is_first else lambda: None)
        manifest = claimed[0]
        files = [_File(*expected, batch_size) for expected in manifest.expected()]
        missing = [file for file in files if file.name not in manifest.shards]
        done(sum(len(file.rows) for file in files if file.name in manifest.shards))
        said = answers(
            (file.view, torch.arange(batch.start, batch.stop)) for file in missing for batch in file.batches(part)
        )
        for file in missing:
            parts = _agreed(gather, partial(_records, file, said, manifest.of.encoding, part, done))
            if is_first:
                manifest = _write(path, file, parts, manifest)
        last: Manifest = gather(manifest)[0]
        return last


@dataclass(frozen=True, slots=True)
class _File:
    """A file of labels; the batches that its rows are answered in are dealt out in turn to those who answer them."""

    name: str
    view: int
    rows: range
    batch_size: int

    def batches(self, part: tuple[int, int]) -> Iterator[range]:
        """Yield the rows of each batch that falls to one of several."""
        number, count = part
        for start in self.rows[:: self.batch_size][number::count]:
            yield range(start, min(start + self.batch_size, self.rows.stop))


def _agreed(gather: Callable[[Any], list[Any]], make: Callable[[], Any]) -> list[Any]:
    """Return what each process makes; all raise the first error that one of them meets."""
    try:
        made = make()
    except UsageError as error:
        made = error
    given = gather(made)
    for each in given:
        if isinstance(each, UsageError):
            raise each
    return given


def _records(
    file: _File,
    said: Iterator[Tensor],
    encoding: Encoding,
    part: tuple[int, int],
    done: Callable[[int], None],
) -> list[NDArray[Any]]:
    """Return the records of this process's batches of a file."""
    records = []
    for batch in file.batches(part):
        try:
            records.append(encoding.encode(next(said)))
        except UsageError as error:
            raise UsageError(f"labels: view {file.view}, samples {batch[0]} to {batch[-1]}: {error}") from error
        done(len(file.rows[batch.start - file.rows.start :][: part[1] * file.batch_size]))
    return records


def _write(path: Path, file: _File, parts: Sequence[Sequence[NDArray[Any]]], manifest: Manifest) -> Manifest:
    """Write a file of what each process made of it, and the manifest that says so."""
    records = np.empty(len(file.rows), manifest.of.encoding.record)
    for number, part in enumerate(parts):
        for batch, found in zip(file.batches((number, len(parts))), part, strict=True):
            records[batch.start - file.rows.start : batch.stop - file.rows.start] = found
    write_atomically(path / file.name, partial(np.save, arr=records, allow_pickle=False))
    manifest = replace(manifest, shards={**manifest.shards, file.name: sha256(path / file.name)})
    manifest.write(path)
    return manifest


def check_folder(path: Path) -> None:
    """Check that labels may be written into a folder, as far as that shows before it is known which.

    Raises:
        UsageError: when it is a file, or holds something else.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"out: {path} is a file, not a folder")
    content = sorted({entry.name for entry in path.iterdir()} - {LOCK}) if path.exists() else []
    if content and "manifest.json" not in content:
        raise UsageError(f"out: {path} is not empty and holds no labels ({content[0]}, ...); choose another folder")


def _claim(path: Path, wanted: Manifest, kept: ExitStack) -> Manifest:
    """Take the folder, until `kept` is closed, and return the manifest with the files that are there and whole."""
    check_folder(path)
    kept.enter_context(lock_folder(path))
    whole: dict[str, str] = {}
    rows_per_shard, views = wanted.rows_per_shard, wanted.views
    if (path / "manifest.json").exists():
        there = Manifest.read(path)
        differences = there.of.differences(wanted.of)
        if differences:
            raise UsageError(f"out: {path} holds other labels: {'; '.join(differences)}")
        whole = {
            name: digest
            for name, digest in there.shards.items()
            if (path / name).exists() and sha256(path / name) == digest
        }
        rows_per_shard, views = there.rows_per_shard, max(there.views, wanted.views)
    manifest = replace(wanted, shards=whole, rows_per_shard=rows_per_shard, views=views)
    manifest.write(path)
    return manifest
