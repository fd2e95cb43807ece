"""Atomic writing of files, and folders locked to one process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO
from uuid import uuid4

from preceptor.errors import RunError, UsageError

__all__ = ["LOCK", "is_temporary", "lock_file", "lock_folder", "write_atomically", "write_text"]

LOCK = ".lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for this process; the system releases the lock when the process ends, however it ends.

    Not on Windows, where nothing is locked.

    Args:
        folder: made where it does not exist.

    Raises:
        UsageError: when another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = lock_file(folder / LOCK)
    except OSError as error:
        raise UsageError(f"out: {folder} cannot be made ({error.strerror})") from error
    if handle is None:
        raise UsageError(f"out: {folder} is in use by another process")
    with handle:
        yield


def lock_file(path: Path) -> TextIO | None:
    """Return a locked file, or None where another process holds it; closed, it is free again.

    The lock belongs to the open file: a process that inherits it holds it too. Not on Windows, where nothing is locked.

    Args:
        path: made where it does not exist; its folder must.
    """
    handle = path.open("a")
    if sys.platform != "win32":
        import fcntl  # noqa: PLC0415  (POSIX only)

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
    return handle


def is_temporary(name: str) -> bool:
    """Return whether a file name is that of `write_atomically`'s temporary file, which a killed process leaves behind.

    Example:
        >>> is_temporary(".config.yaml.tmp"), is_temporary("config.yaml")
        (True, False)
    """
    return name.startswith(".") and name.endswith(".tmp")


def write_atomically(path: Path, write: Callable[[BinaryIO], object], *, is_shared: bool = False) -> None:
    """Write a file through a temporary one beside it, which replaces it once complete and on disk.

    Args:
        path: the file; its folder must exist.
        write: called with the open temporary file.
        is_shared: whether several processes may write it at the same time; then one that is killed leaves its temporary file.

    Raises:
        RunError: when the disk refuses (full, read-only); an earlier file at `path` is untouched.
    """
    own = f".{uuid4().hex}" if is_shared else ""
    temporary = path.with_name(f".{path.name}{own}.tmp")
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
