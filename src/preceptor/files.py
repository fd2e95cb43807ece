"""Writing a file so that a reader, a crash or a full disk never finds half of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from preceptor.errors import RunError

__all__ = ["write_atomically", "write_text"]


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write `path` through a temporary neighbour that replaces it only when it is complete and on disk.

    Args:
        path: the file; its folder must exist.
        write: gets the open temporary file.

    Raises:
        RunError: when the disk refuses (full, read-only); what stood at `path` before is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        kept = "; what was there before is kept" if path.exists() else ""
        raise RunError(f"{path}: cannot be written ({error.strerror or error}){kept}") from error


def write_text(path: Path, text: str) -> None:
    """Write a small text file atomically, as UTF-8."""
    write_atomically(path, lambda handle: handle.write(text.encode()))
