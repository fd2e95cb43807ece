"""Atomic writing of files, and folders locked to one process; neither is done through links that somebody has planted."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO
from uuid import uuid4

from preceptor.errors import RunError, UsageError

__all__ = [
    "LOCK",
    "is_temporary",
    "lock_file",
    "lock_folder",
    "make_folder",
    "remove_temporaries",
    "write_atomically",
    "write_text",
]

LOCK = ".lock"
_NO_LINKS = 0 if sys.platform == "win32" else os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = re.compile(r"\.preceptor-[0-9a-f]{32}\.tmp")


@contextmanager
def lock_folder(folder: Path) -> Iterator[TextIO]:
    """Lock a folder for this process, and yield the lock; the system releases it when the process ends, however it ends.

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
        raise UsageError(f"out: {folder} cannot be written ({error.strerror})") from error
    if handle is None:
        raise UsageError(f"out: {folder} is in use by another process")
    with handle:
        yield handle


def lock_file(path: Path) -> TextIO | None:
    """Return a locked file, or None where another process holds it; closed, it is free again.

    The lock belongs to the open file: a process that inherits it holds it too. Not on Windows, where nothing is locked.

    Args:
        path: made where it does not exist; its folder must. A link is refused.

    Raises:
        OSError: when the system refuses.
    """
    handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _NO_LINKS, 0o666), "a")
    if sys.platform != "win32":
        import fcntl  # noqa: PLC0415  (POSIX only)

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
    return handle


def make_folder(folder: Path, *, parents: bool = True) -> None:
    """Make a folder, where it does not exist.

    Args:
        folder: the folder.
        parents: whether the folders above it are made too.

    Raises:
        RunError: when the system refuses.
    """
    try:
        folder.mkdir(parents=parents, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made ({error.strerror})") from error


def is_temporary(name: str) -> bool:
    """Return whether a file name is that of `write_atomically`'s temporary file, which a killed process leaves behind.

    Examples:
        >>> is_temporary(".preceptor-0123456789abcdef0123456789abcdef.tmp"), is_temporary(".config.yaml.tmp")
        (True, False)
    """
    return _TEMPORARY.fullmatch(name) is not None


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files that killed processes have left in a folder; nobody else may be writing there.

    Raises:
        RunError: when the system refuses.
    """
    try:
        for path in folder.iterdir() if folder.is_dir() else ():
            if is_temporary(path.name):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be cleared ({error.strerror})") from error


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file through a temporary one beside it, which replaces it once complete and on disk.

    The temporary file has a random name, is new, and is no link; several processes may write the same file, and the last one
    wins. A link at `path` itself is replaced, and what it points to is not touched.

    Args:
        path: the file; its folder must exist.
        write: called with the open temporary file.

    Raises:
        RunError: when the disk refuses (full, read-only); an earlier file at `path` is untouched.
    """
    temporary, is_left = path.with_name(f".preceptor-{uuid4().hex}.tmp"), False
    try:
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o666)
        is_left = True
        with os.fdopen(number, "wb") as handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
        is_left = False
    except OSError as error:
        kept = "; what was there before is kept" if os.path.lexists(path) else ""
        raise RunError(f"{path}: cannot be written ({error.strerror or error}){kept}") from error
    finally:
        if is_left:
            with suppress(OSError):  # the first error is the one to tell
                temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a small text file atomically, as UTF-8; bytes of names that are no UTF-8 are escaped."""
    write_atomically(path, lambda handle: handle.write(text.encode(errors="backslashreplace")))
