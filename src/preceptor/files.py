"""Writing a file so that a reader, a crash or a full disk never finds half of it; keeping a folder to one process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from preceptor.errors import RunError, UsageError

__all__ = ["LOCK", "lock_folder", "write_atomically", "write_text"]

LOCK = ".lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep others that ask for it out of a folder; the system lets them in again when this process ends, however it ends.

    Not on Windows, where the folder stays open to all.

    Args:
        folder: made where it does not exist.

    Raises:
        UsageError: when another process has it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / LOCK).open("a")
    except OSError as error:
        raise UsageError(f"out: {folder} cannot be made ({error.strerror})") from error
    with handle:
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415  (POSIX only)

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(f"out: {folder} is in use by another process") from error
        yield


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
