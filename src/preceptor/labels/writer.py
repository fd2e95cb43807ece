"""Writing labels: file by file, so that an interruption loses at most one; what is there and whole is never made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.files import LOCK, kept_to_this_process, write_atomically
from preceptor.labels.manifest import Manifest
from preceptor.labels.store import sha256

__all__ = ["write_labels"]

Answer = Callable[[int, Int[Tensor, " rows"]], Float[Tensor, "rows classes"]]


def write_labels(
    folder: str | Path,
    manifest: Manifest,
    answer: Answer,
    *,
    batch_size: int = 256,
    done: Callable[[int], None] = lambda rows: None,
) -> Manifest:
    """Write what is missing of the labels that `manifest` describes, and return the manifest as it then stands.

    A folder that holds the same labels is gone on with: missing files are made, files whose sha256 differs are made
    again, and a larger number of views adds the new ones.

    Args:
        folder: made where it does not exist.
        manifest: what is wanted; its `shards` are ignored.
        answer: (view, rows of the training split) -> logits.
        batch_size: rows asked about at once.
        done: hears the number of rows of each batch, and of each file that was there.

    Raises:
        UsageError: when the folder holds something else, is in use by another process, or holds labels that
            depend on something else: each difference is named.
        RunError: when the disk refuses.
    """
    path = Path(folder)
    check_folder(path)
    with kept_to_this_process(path):
        return _write(path, _claim(path, manifest), answer, batch_size, done)


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


def _write(path: Path, manifest: Manifest, answer: Answer, batch_size: int, done: Callable[[int], None]) -> Manifest:
    for name, view, rows in manifest.expected():
        if name in manifest.shards:
            done(len(rows))
            continue
        records = np.empty(len(rows), manifest.of.encoding.record)
        for start, index in _batches(rows, batch_size):
            try:
                records[start : start + len(index)] = manifest.of.encoding.encode(answer(view, index))
            except UsageError as error:
                raise UsageError(f"labels: view {view}, samples {index[0]} to {index[-1]}: {error}") from error
            done(len(index))
        write_atomically(path / name, partial(np.save, arr=records, allow_pickle=False))
        manifest = replace(manifest, shards={**manifest.shards, name: sha256(path / name)})
        manifest.write(path)
    return manifest


def _claim(path: Path, wanted: Manifest) -> Manifest:
    """Return the manifest with the files that are there and whole."""
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


def _batches(rows: range, batch_size: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        yield start, torch.arange(chosen.start, chosen.stop)
