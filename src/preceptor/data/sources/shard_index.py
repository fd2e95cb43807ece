"""Listings of shards, kept for the next time: an index beside each shard, or in the user's cache folder.

An index is a .npz of plain arrays with a description: which shard in which state, what was looked for in it, and a checksum of
the arrays. Where anything in the description differs, or the file is damaged, the shard is listed again.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from preceptor.checksums import sha256_of
from preceptor.data.sources.npz_files import read_npz
from preceptor.data.sources.shard_files import Shard
from preceptor.data.sources.shard_listing import ShardIndex, list_shard
from preceptor.data.sources.walk import IMAGE_SUFFIXES
from preceptor.documents import parse_document
from preceptor.errors import RunError, UsageError
from preceptor.files import write_atomically

__all__ = ["Indexed", "index_shards"]

_FORMAT = "preceptor shard index 3"
_ALONE = 2.0  # seconds of work that one process does before it is shared


@dataclass(frozen=True, slots=True)
class Indexed:
    """The indexes of some shards.

    Attributes:
        indexes: one per shard.
        num_listed: shards that were listed now; the others' indexes were there.
        num_kept: indexes that are there for the next time.
    """

    indexes: Sequence[ShardIndex]
    num_listed: int
    num_kept: int

    def notes(self, key: str) -> tuple[str, ...]:
        """Return a note on the shards that were listed now, if there are any."""
        kept = "their indexes are kept for the next time"
        if num_lost := len(self.indexes) - self.num_kept:
            kept = (
                f"{num_lost:,} of {len(self.indexes):,} have no index and are listed each time: they were written a moment ago, "
                "or neither their folder nor the cache can be written"
            )
        return (f"wds: {key}: shards listed: {self.num_listed:,}; {kept}",) if self.num_listed else ()


@dataclass(frozen=True, slots=True)
class _Made:
    index: ShardIndex
    is_listed: bool
    is_kept: bool


def index_shards(shards: Sequence[Shard], key: str, target: str | None) -> Indexed:
    """Return the index of each shard: the one that was kept, or a new one.

    What takes longer than two seconds is shared by as many processes as there are cores (on Linux). Processes that `torchrun`
    started begin at different shards, so that they share the work where they keep indexes in the same place.

    Args:
        shards: of one pattern.
        key: of the configuration that named them, in messages.
        target: as for `list_shard`.

    Raises:
        UsageError: as for `list_shard`.
    """
    rank, world_size = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    first = rank * len(shards) // world_size
    turned = [*range(first, len(shards)), *range(first)]
    making = _in_processes(partial(_made, key=key, target=target), [shards[number] for number in turned])
    made = dict(zip(turned, making, strict=True))
    return Indexed(
        [made[number].index for number in range(len(shards))],
        num_listed=sum(each.is_listed for each in made.values()),
        num_kept=sum(each.is_kept for each in made.values()),
    )


def _in_processes(make: partial[_Made], shards: Sequence[Shard]) -> Iterator[_Made]:
    began, count = time.monotonic(), _num_processes()
    for number, shard in enumerate(shards):
        if count > 1 and number + 1 < len(shards) and time.monotonic() - began > _ALONE:
            # forked, so that a user's script needs no guard; they touch neither torch nor a device
            context = multiprocessing.get_context("fork")
            with ProcessPoolExecutor(min(count, len(shards) - number), mp_context=context) as pool:
                yield from pool.map(make, shards[number:])
            return
        yield make(shard)


def _num_processes() -> int:
    if sys.platform != "linux" or multiprocessing.current_process().daemon:  # which may have no children
        return 1
    return len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _made(shard: Shard, *, key: str, target: str | None) -> _Made:
    """Return the index of one shard: kept, or listed and kept if that is safe and possible."""
    described = {
        "format": _FORMAT,
        "size": shard.size,
        "version": shard.version,
        "target": target,
        "suffixes": sorted(IMAGE_SUFFIXES),
    }
    places = [(place, {**described, "shard": name}) for place, name in _places(shard, target)]
    for place, description in places if shard.is_settled else ():
        if (kept := _read(place, description)) is not None:
            return _Made(kept, is_listed=False, is_kept=True)
    index = list_shard(shard, key, target)
    is_kept = shard.is_settled and shard.is_unchanged() and any(_write(index, *place) for place in places)
    return _Made(index, is_listed=True, is_kept=is_kept)


def _places(shard: Shard, target: str | None) -> Iterator[tuple[Path, str]]:
    """Yield the files in which an index may be kept, the best first, and what each calls the shard."""
    name = shard.name
    if not shard.is_remote:
        path = Path(name).absolute()
        yield path.with_name(f".{path.name}.{quote(target or '', safe='')}.npz"), path.name  # hidden from patterns
        name = str(path)
    told = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        folder = told if told.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return
    unique = hashlib.sha256(f"{target}\n{name}".encode()).hexdigest()[:32]
    yield folder / "preceptor" / "shards" / f"{unique}.npz", name


class _Described(BaseModel):
    """What stands beside the arrays of an index."""

    description: dict[str, Any]
    sha256: str
    num_others: Annotated[int, Field(ge=0)]


def _read(place: Path, description: Mapping[str, Any]) -> ShardIndex | None:
    """Return the index in a file, or None where there is none, or one of another shard, state or target, or a damaged one."""
    try:
        stored = read_npz(place, "index")  # checks sums of what it reads
        told = parse_document(stored["description"].tobytes().decode(), _Described, "index")
        places, names = stored["places"], stored["names"]
    except (UsageError, LookupError):  # whatever is wrong with a file, the shard is listed again
        return None
    if told.description != dict(description) or told.sha256 != _sha256(places, names, told.num_others):
        return None
    if not _is_sound(places, names, description["size"]):
        return None
    offsets, lengths, labels = places
    return ShardIndex(offsets, lengths, labels, names, told.num_others)


def _sha256(places: NDArray[Any], names: NDArray[Any], num_others: int) -> str:
    return sha256_of(places.tobytes() + f"{names.dtype.str} {num_others}".encode() + names.tobytes())


def _is_sound(places: NDArray[Any], names: NDArray[Any], size: int) -> bool:
    """Return whether arrays are those of an index of a shard of so many bytes."""
    if places.dtype != np.int64 or names.dtype.kind != "S" or names.ndim != 1 or places.shape != (3, len(names)):
        return False
    return bool(len(names) and (places >= 0).all() and (places[0] <= size - places[1]).all())


def _write(index: ShardIndex, place: Path, description: Mapping[str, Any]) -> bool:
    """Keep an index in a file, and return whether that was possible."""
    places = np.stack([index.offsets, index.lengths, index.labels])
    digest = _sha256(places, index.names, index.num_others)
    told = json.dumps({"description": description, "sha256": digest, "num_others": index.num_others}).encode()
    content = io.BytesIO()
    np.savez(content, description=np.frombuffer(told, dtype=np.uint8), places=places, names=index.names)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, lambda handle: handle.write(content.getbuffer()))
    except (OSError, RunError):
        return False
    return True
