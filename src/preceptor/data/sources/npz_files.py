"""Arrays in .npz files, read within what the file holds: no header decides how much memory is taken."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.errors import UsageError
from preceptor.reading import check_regular

__all__ = ["NPZ_DAMAGE", "read_npz", "unpacked"]

_FREE = 2**28  # bytes that any file may unpack to
_RATIO = 100  # bytes to which one of the file may unpack; samples never reach it, zeros reach 1,000
# what zipfile and numpy raise for files that are none, or damaged
NPZ_DAMAGE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, NotImplementedError, MemoryError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)


def read_npz(file: Path, where: str) -> dict[str, NDArray[Any]]:
    """Return the arrays in a file by name.

    Args:
        file: as `numpy.savez` writes it.
        where: the key that named the file, for messages: "data.path".

    Raises:
        UsageError: when it is missing, no regular file or damaged, holds Python objects, or would unpack to far more than it
            holds.
    """
    check_regular(file, f"{where}: ")
    try:
        return unpacked(file.read_bytes())
    except NPZ_DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{where}: {file}: cannot be read ({reason})") from error


def unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays in the content of an .npz file.

    Raises:
        ValueError: for the content of anything else, and the other errors of `NPZ_DAMAGE`.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > max(_FREE, _RATIO * len(content)):
            raise ValueError(f"{len(content):,} bytes would become {total:,}")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"{name!r} is there twice")
            with archive.open(member) as opened:
                _check_header(opened, member.file_size)
            with archive.open(member) as opened:
                arrays[name] = np.lib.format.read_array(opened, allow_pickle=False)
    return arrays


def _check_header(opened: Any, size: int) -> None:
    """Check that an array has no more numbers than there are bytes for.

    Raises:
        ValueError: when it has.
    """
    version = np.lib.format.read_magic(opened)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(opened)
    if prod(shape) * kind.itemsize > (left := size - opened.tell()):
        raise ValueError(f"an array of shape {shape} and type {kind} in {left:,} bytes")
