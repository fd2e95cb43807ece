"""Files that are read as a whole: regular ones only, because a pipe never ends, and no larger than they may be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from preceptor.errors import UsageError

__all__ = ["check_regular", "is_regular", "read_bytes", "read_text"]


def is_regular(path: str | Path) -> bool:
    """Return whether a path is a file that ends: no folder, pipe, socket or device, and nothing missing."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116  (once per image)
    except (OSError, ValueError):  # a zero byte in a name
        return False


def check_regular(path: Path, where: str = "") -> int:
    """Return the size in bytes of a file that is about to be read.

    Args:
        path: of the file, links followed.
        where: prefix of messages.

    Raises:
        UsageError: when it is missing, or a folder, a pipe, a socket or a device.
    """
    try:
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{where}{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{where}{path}: cannot be read ({_reason(error)})") from error
    if not stat.S_ISREG(state.st_mode):
        what = "a folder" if stat.S_ISDIR(state.st_mode) else "a pipe, a socket or a device"
        raise UsageError(f"{where}{path}: is {what}, not a file")
    return state.st_size


def read_bytes(path: Path, where: str = "") -> bytes:
    """Return the content of a file.

    Args:
        path: of the file.
        where: prefix of messages.

    Raises:
        UsageError: when it is missing, no regular file, or cannot be read.
    """
    check_regular(path, where)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{where}{path}: cannot be read ({_reason(error)})") from error


def read_text(path: Path, where: str = "", *, most: int) -> str:
    """Return the text of a UTF-8 file.

    Args:
        path: of the file.
        where: prefix of messages.
        most: bytes that it may have.

    Raises:
        UsageError: when it is missing, no file, larger, or not UTF-8.
    """
    size = check_regular(path, where)
    if size > most:
        raise UsageError(f"{where}{path}: has {size:,} bytes, and at most {most:,} are read")
    try:
        with path.open("rb") as handle:
            return handle.read(most + 1).decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"{where}{path}: cannot be read ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
