"""The log of epochs: metrics.jsonl, a JSON object per epoch, append-only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preceptor.checksums import CHANGED, sha256_of
from preceptor.errors import RunError, UsageError
from preceptor.reading import read_bytes

__all__ = ["MetricsLog"]


class MetricsLog:
    """The rows of a run's epochs.

    Args:
        path: of the file; what is there belongs to the run.
        writes: whether rows go into the file; otherwise they are only kept here.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self._path = path
        self._writes = writes
        self._content = read_bytes(path) if path.exists() else b""

    def __len__(self) -> int:
        return self._content.count(b"\n")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, in order."""
        return [json.loads(line) for line in self._content.splitlines()]

    def append(self, row: Mapping[str, object]) -> None:
        """Add a row; it is on disk then.

        Raises:
            RunError: when the disk refuses.
        """
        line = json.dumps(row).encode() + b"\n"
        if self._writes:
            try:
                with self._path.open("ab") as handle:
                    handle.write(line)
                    handle.flush()
                    os.fsync(handle.fileno())
            except OSError as error:
                raise RunError(f"{self._path}: cannot be written ({error.strerror})") from error
        self._content += line

    def state_dict(self) -> dict[str, Any]:
        """Return length and sha256, by which a checkpoint knows the rows that it was written after."""
        return {"bytes": len(self._content), "sha256": sha256_of(self._content)}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Cut back to the rows that a checkpoint was written after; None: there is no checkpoint, and no row counts.

        Raises:
            UsageError: when some of those rows are missing or changed.
            RunError: when the disk refuses.
        """
        size = 0 if state is None else state["bytes"]
        kept = self._content[:size]
        if state is not None and sha256_of(kept) != state["sha256"]:
            short = f"is shorter than at the last checkpoint ({len(kept):,} of {size:,} bytes)"
            what = short if len(kept) < size else CHANGED
            raise UsageError(f"{self._path}: {what}; restore it, or start the run anew with overwrite=true")
        if len(self._content) > size and self._writes:
            try:
                with self._path.open("r+b") as handle:
                    handle.truncate(size)
                    os.fsync(handle.fileno())
            except OSError as error:
                raise RunError(f"{self._path}: cannot be written ({error.strerror})") from error
        self._content = kept
