"""Reading labels: rows gathered from memory-mapped files, each checked against its sha256 when it is first read."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.labels.encoding import columns
from preceptor.labels.manifest import Manifest, shard_name
from preceptor.messages import first_line
from preceptor.reading import is_regular

__all__ = ["LabelStore", "sha256"]

_RESIDENT_BYTES = 2**31  # of a view that is copied to a GPU: ImageNet in int8 takes 1.3 GB


class LabelStore:
    """A complete label store; its files are memory-mapped, not loaded.

    Args:
        folder: written by `write_labels`.

    Raises:
        UsageError: when the folder holds no labels, or only some of them.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = Manifest.read(self.folder)
        missing, first = self.manifest.missing()
        if missing:
            dots = ", ..." * (missing > 1)
            raise UsageError(f"labels: {self.folder}: {missing:,} files are missing ({first}{dots}); {_REDO}")
        self._view = 1
        self._files: dict[int, NDArray[Any]] = {}  # of that view only: the system limits open files
        self._resident: dict[str, Tensor] | None = None  # the records of that view, on a device
        self._file(0)  # whose header says whether classes, type and length are those of the manifest

    @property
    def views(self) -> int:
        """How many views of each sample are stored."""
        return self.manifest.views

    def logits(self, view: int, index: Int[Tensor, " rows"]) -> Float[Tensor, "rows classes"]:
        """Return the teacher's logits, float32 on the device of the index.

        On a device other than the CPU, a view that is not too large is copied there as a whole when it is first asked for, so
        that no step waits for its rows.

        Args:
            view: from 1.
            index: rows of the training split.

        Raises:
            UsageError: when a file is missing or damaged.
        """
        if view != self._view:
            self._view, self._files, self._resident = view, {}, None
        encoding, device = self.manifest.source.encoding, index.device
        if device.type == "cpu" or self._view_bytes > _RESIDENT_BYTES:
            records = columns(self._rows(index.cpu().numpy()))
            return encoding.decode({name: values.to(device) for name, values in records.items()})
        if self._resident is None:
            whole = self._rows(np.arange(self.manifest.source.samples))
            self._resident = {name: values.to(device) for name, values in columns(whole).items()}
        return encoding.decode({name: values[index] for name, values in self._resident.items()})

    @property
    def _view_bytes(self) -> int:
        source = self.manifest.source
        return source.samples * source.encoding.bytes_per_sample

    def _rows(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the records of some rows of the current view."""
        shards, places = np.divmod(rows, self.manifest.rows_per_shard)
        records = np.empty(len(rows), self.manifest.source.encoding.record)
        for shard in np.unique(shards).tolist():
            chosen = shards == shard
            records[chosen] = self._file(shard)[places[chosen]]
        return records

    def _file(self, number: int) -> NDArray[Any]:
        if number not in self._files:
            name = shard_name(self._view, number)
            path = self.folder / name
            if not is_regular(path) or sha256(path) != self.manifest.shards[name]:
                state = "is damaged (its sha256 differs)" if is_regular(path) else "is missing"
                raise UsageError(f"labels: {path} {state}; {_REDO}")
            self._files[number] = self._mapped(path, number)
        return self._files[number]

    def _mapped(self, path: Path, number: int) -> NDArray[Any]:
        """Return a file's records, which must be as many and of the kind that the manifest says."""
        source, first = self.manifest.source, number * self.manifest.rows_per_shard
        rows = min(self.manifest.rows_per_shard, source.samples - first)
        try:
            records: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(f"labels: {path} cannot be read ({first_line(error)}); {_REDO}") from error
        if (records.shape, records.dtype) != ((rows,), source.encoding.record):
            raise UsageError(
                f"labels: {path} holds {records.dtype} {records.shape}, and manifest.json says {source.encoding.record} {(rows,)}"
            )
        return records


_REDO = "the same `preceptor label` command again makes just what is missing"


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Return the sha256 of a file, cached by its path, size and modification time."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)
