"""Shards as files, local or behind a URL (fsspec): their names, whether they have changed, and bytes from any place in them."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from glob import glob
from pathlib import Path
from typing import Any

from preceptor.errors import UsageError
from preceptor.messages import first_line
from preceptor.reading import check_regular

__all__ = ["Shard", "find_shards", "shard_names"]

_RANGE = re.compile(r"\{(\d{1,18})\.\.(\d{1,18})\}")
_MOST_SHARDS = 1_000_000  # that a pattern counts
_MOST_OPEN = 64  # shards that a process keeps open; an epoch reads 8 at a time
_AT_ONCE = 32  # shards whose state is asked for at once, because networks answer slowly
_SETTLED = 2.0  # seconds after which another change shows in a file's time, whatever its clock ticks in
# what file systems tell of a file that changes with its content
_VERSIONS = (
    "ETag",
    "etag",
    "Content-MD5",
    "blob_id",
    "mtime",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "updated",
)


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard, in the state in which it was found.

    Attributes:
        name: a path, or a URL that fsspec knows.
        size: in bytes.
        version: time of the last change or the like; empty where the file system tells nothing.
        is_settled: whether any later change will show in size or version, so that an index can be kept.
    """

    name: str
    size: int
    version: str
    is_settled: bool

    @property
    def is_remote(self) -> bool:
        """Whether it is behind a URL."""
        return "://" in self.name

    def open(self) -> Any:
        """Return an open binary file."""
        if not self.is_remote:
            return Path(self.name).open("rb")
        files, path = _file_system(self.name)
        return files.open(path, "rb")

    def is_unchanged(self) -> bool:
        """Return whether it still is in the state in which it was found."""
        try:
            now = _found(self.name, "data.path")
        except UsageError:
            return False
        return (now.size, now.version) == (self.size, self.version)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes; threads may read at once, and processes that were forked too.

        Raises:
            UsageError: when the shard cannot be read, is shorter, or has changed since it was found.
        """
        try:
            if self.is_remote or sys.platform == "win32":
                files, path = _file_system(self.name)
                content: bytes = files.cat_file(path, start=offset, end=offset + length) if length else b""
            else:
                content = _handle(self).read(offset, length)
        except UsageError:
            raise
        except Exception as error:  # file systems have errors of their own
            raise UsageError(f"data.path: {self.name}: cannot be read at byte {offset:,} ({_reason(error)})") from error
        if len(content) != length:
            raise UsageError(
                f"data.path: {self.name}: {length:,} bytes expected from byte {offset:,} on, got {len(content):,}; "
                "it may have changed since it was listed"
            )
        return content


class _Handle:
    """A local shard, held open: closed when no thread reads from it any more."""

    _number = -1

    def __init__(self, shard: Shard) -> None:
        self._number = os.open(shard.name, os.O_RDONLY)
        state = os.fstat(self._number)
        if (state.st_size, _version(state)) != (shard.size, shard.version):
            raise UsageError(f"data.path: {shard.name}: has changed since it was listed; start again")

    def __del__(self) -> None:
        if self._number >= 0:
            os.close(self._number)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes, without a position that threads or forked processes would share."""
        return os.pread(self._number, length, offset)


_handle = lru_cache(maxsize=_MOST_OPEN)(_Handle)


def find_shards(pattern: str, key: str) -> list[Shard]:
    """Return the shards of a pattern in their present state.

    Raises:
        UsageError: as for `shard_names`, and when one cannot be found.
    """
    names = shard_names(pattern, key)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(lambda name: _found(name, key), names))


def shard_names(pattern: str, key: str) -> Sequence[str]:
    """Return the files of a pattern: *, ? (not in URLs) and [...] as in a shell; {000..146} counts.

    Raises:
        UsageError: when there are none, or a local one that is counted is missing.
    """
    braces = _RANGE.search(pattern)
    if braces is not None:
        first, last = braces.groups()
        count = int(last) + 1 - int(first)
        if count > _MOST_SHARDS:
            raise UsageError(f"{key}: {pattern}: counts {count:,} files, and at most {_MOST_SHARDS:,} are read")
        numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
        ends = pattern[: braces.start()], pattern[braces.end() :]
        return [name for each in numbers for name in shard_names(f"{ends[0]}{each}{ends[1]}", key)]
    names = _remote_names(pattern, key) if "://" in pattern else sorted(glob(str(Path(pattern).expanduser())))  # noqa: PTH207
    if not names:
        raise UsageError(f"{key}: {pattern}: no such files")
    return names


def _remote_names(pattern: str, key: str) -> Sequence[str]:
    if not any(each in pattern for each in "*["):  # a ? begins the query of a URL
        return [pattern]  # whether it is there is asked later, for all at once
    try:
        files, path = _file_system(pattern)
        files.invalidate_cache()
        return [files.unstrip_protocol(name) for name in sorted(files.glob(path))]
    except Exception as error:
        raise UsageError(f"{key}: {pattern}: cannot be listed ({_reason(error)})") from error


def _found(name: str, key: str) -> Shard:
    if "://" not in name:
        check_regular(Path(name), f"{key}: ")
    try:
        if "://" not in name:
            state = Path(name).stat()
            return Shard(name, state.st_size, _version(state), _is_settled(state.st_mtime))
        files, path = _file_system(name)
        told: dict[str, Any] = files.info(path)
    except FileNotFoundError as error:
        raise UsageError(f"{key}: {name}: no such file") from error
    except Exception as error:
        raise UsageError(f"{key}: {name}: cannot be read ({_reason(error)})") from error
    if told.get("type") == "directory" or told.get("size") is None:
        raise UsageError(f"{key}: {name}: is no file of a known size")
    # of an object that is written anew, also the time when it was made changes
    kinds = [kind for kind in _VERSIONS if told.get(kind)] or [kind for kind in ("created",) if told.get(kind)]
    version, changed = " ".join(f"{kind}={told[kind]}" for kind in kinds), told.get("mtime")
    is_settled = bool(version) and (not isinstance(changed, float) or _is_settled(changed))
    return Shard(name, int(told["size"]), version, is_settled)


def _file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, which fsspec keeps for each process anew, and the path in it."""
    from fsspec.core import url_to_fs  # noqa: PLC0415  (an eighth of a second)

    files, path = url_to_fs(url)
    return files, path


def _version(state: os.stat_result) -> str:
    return f"mtime={state.st_mtime_ns}"


def _is_settled(changed: float) -> bool:
    return time.time() - changed > _SETTLED


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
    return f"{type(error).__name__}: {reason}" if isinstance(error, KeyError) else reason
