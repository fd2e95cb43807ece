"""The log of epochs: metrics.jsonl, a JSON object per epoch, append-only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preceptor.errors import RunError

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
        self._content = path.read_bytes() if path.exists() else b""

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, in order."""
        return [json.loads(line) for line in self._content.splitlines()]

    def append(self, row: Mapping[str, object]) -> None:
        """Add a row.

        Raises:
            RunError: when the disk refuses.
        """
        line = json.dumps(row).encode() + b"\n"
        if self._writes:
            try:
                with self._path.open("ab") as handle:
                    handle.write(line)
            except OSError as error:
                raise RunError(f"{self._path}: cannot be written ({error.strerror})") from error
        self._content += line

    def size(self) -> int:
        """Return the length in bytes."""
        return len(self._content)

    def cut(self, size: int) -> None:
        """Cut back to `size` bytes: to where a checkpoint was written."""
        if self.size() > size and self._writes:
            with self._path.open("r+b") as handle:
                handle.truncate(size)
        self._content = self._content[:size]
