"""The samples of a shard, listed from the headers of the tar: files of one name, an image and perhaps a class."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.data.sources.shard_files import Shard
from preceptor.data.sources.walk import IMAGE_SUFFIXES
from preceptor.documents import parse_json
from preceptor.errors import UsageError
from preceptor.messages import first_line

__all__ = ["ShardIndex", "list_shard"]

_DIGITS = 9  # of a class
_LONGEST_NAME = 4096  # bytes: names are kept as an array of one width
_SHORT, _LONG = 64, 2**20  # bytes of a label file that are read: of a number, of a .json file


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """The samples of a shard, in the order of their images.

    Attributes:
        offsets: int64, where the image files begin.
        lengths: int64, of the image files in bytes.
        labels: int64 classes; zeros where samples have none.
        names: of the samples, bytes of one width.
        num_others: files that are neither an image nor a label.
    """

    offsets: NDArray[Any]
    lengths: NDArray[Any]
    labels: NDArray[Any]
    names: NDArray[Any]
    num_others: int


def list_shard(shard: Shard, key: str, target: str | None) -> ShardIndex:
    """Return what lies in a shard.

    Args:
        shard: an uncompressed tar, because samples are read at their offsets.
        key: of the configuration that named it, in messages.
        target: the file with a sample's class: a suffix, json:FIELD, or None where samples have none.

    Raises:
        UsageError: when it cannot be read or is damaged (the message names the byte), when it holds no images, or when a sample
            lacks an image or a class.
    """
    images: dict[str, tuple[int, int]] = {}
    texts: dict[str, bytes] = {}
    others, place = 0, 0
    suffix_of_label, _, field = (target or "").partition(":")
    longest = _LONG if field else _SHORT
    try:
        with shard.open() as handle, tarfile.open(fileobj=handle, mode="r:") as opened:
            for member in opened:
                place = member.offset
                if not member.isfile():
                    continue
                folder, base = posixpath.split(member.name)
                stem, _, suffix = base.partition(".")
                name, suffix = _prefix(folder) + stem, suffix.lower()
                if stem and suffix == suffix_of_label:
                    handle.seek(member.offset_data)
                    texts[name] = handle.read(min(member.size, longest))
                elif stem and f".{suffix}" in IMAGE_SUFFIXES:
                    if name in images:
                        raise UsageError(f"{key}: {shard.name}: sample {name} has two images: the second is {base}")
                    images[name] = member.offset_data, member.size
                else:
                    others += 1
            place = opened.offset
            _check_end(handle, place)
    except UsageError:
        raise
    except Exception as error:  # file systems have errors of their own
        raise UsageError(f"{key}: {shard.name}: cannot be read at byte {place:,} ({first_line(error)})") from error
    if not images:
        raise UsageError(f"{key}: {shard.name}: holds no images")
    if target is None:
        labels = [0] * len(images)
    else:
        if lonely := sorted(set(images) ^ set(texts)):
            missing = f"no .{suffix_of_label} file" if lonely[0] in images else "no image"
            raise UsageError(f"{key}: {shard.name}: sample {lonely[0]} has {missing}")
        labels = [_label(texts[name], f"{key}: {shard.name}: {name}", suffix_of_label, field) for name in images]
    offsets, lengths = np.array(list(images.values()), dtype=np.int64).T.copy()
    return ShardIndex(
        offsets, lengths, np.array(labels, dtype=np.int64), _names(images, f"{key}: {shard.name}"), others
    )


def _names(images: Iterable[str], where: str) -> NDArray[Any]:
    """Return names as an array of one width, that of the longest."""
    names = [name.encode("utf-8", "surrogateescape") for name in images]
    if (longest := max(map(len, names))) > _LONGEST_NAME:
        raise UsageError(f"{where}: holds a name of {longest:,} bytes, and at most {_LONGEST_NAME:,} are read")
    return np.array(names)


@cache
def _prefix(folder: str) -> str:
    """Return what stands before the names of files in a folder: nothing for ".", one slash for several."""
    return str(PurePosixPath(folder) / "x")[:-1]


def _check_end(handle: Any, place: int) -> None:
    """Check that a tar ends where its headers end: `tarfile` takes a damaged header for the end.

    Raises:
        ReadError: when it does not.
    """
    handle.seek(place)
    if handle.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError("damaged header")


def _label(content: bytes, sample: str, suffix: str, field: str) -> int:
    """Return the class that a label file holds."""
    text = content.decode("utf-8", "replace").strip()
    if field:
        try:
            value = parse_json(text, sample)[field]
        except (ValueError, LookupError, TypeError) as error:
            raise UsageError(f"{sample}.{suffix} has no field {field!r} with a class") from error
        text = str(value)
    if not text.isdecimal() or len(text) > _DIGITS:
        what = f"{text[:20]!r}" + f" as {field!r}" * bool(field)
        raise UsageError(f"{sample}.{suffix} holds {what}, expected a whole number from 0 of at most {_DIGITS} digits")
    return int(text)
