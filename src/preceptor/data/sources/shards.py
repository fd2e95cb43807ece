"""Shards in the layout of WebDataset: .tar files in which the files of a sample lie together under one name.

The shards are listed once, by their headers alone; then every sample is one read away, so that labels, splits, views, label
stores and resuming in mid-epoch work as for any other data. An epoch reads a few shards at a time, in an order of its own.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.images.decoding import ENDS, LEAVE_OUT, decode, is_complete
from preceptor.data.images.images import Cut, image_source, image_split, left_out_note, readable, split_off_test
from preceptor.data.sources.folders import IMAGE_SUFFIXES
from preceptor.data.split import Split
from preceptor.errors import UsageError

__all__ = ["shard_names", "wds"]

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def wds(
    *,
    path: str,
    test: str | None = None,
    validation_shards: str | None = None,
    size: int | None = None,
    held: bool | None = None,
    centre: float = 0.875,
    target: str = "cls",
    skip_unreadable: bool = False,
) -> Source:
    """Images in WebDataset shards: PATTERN of local .tar files, as in train-{000..146}.tar or train-*.tar.

    Args:
        path: the training shards.
        test: the test shards; without them, a fifth of the samples is split off.
        validation_shards: shards for every choice made along the way; without them, they are split from train.
        size: as for folder.
        held: as for folder.
        centre: as for folder.
        target: suffix of the file in which a sample's class stands, a whole number.
        skip_unreadable: as for folder.
    """
    cut = Cut(size, centre, held)
    train = _listed(path, "data.path", target)
    given = {"data.test": test, "data.validation_shards": validation_shards}
    listed = {key: _listed(pattern, key, target) for key, pattern in given.items() if pattern is not None}
    num_classes = 1 + max(int(part.labels.max()) for part in (train, *listed.values()))
    names = tuple(str(number) for number in range(max(num_classes, 2)))
    left_out: tuple[str, ...] = ()
    if skip_unreadable:
        train, left_out = _readable(train, path)
        for key, part in listed.items():
            listed[key], more = _readable(part, str(given[key]))
            left_out += more
    parts = {key: _split(part, cut) for key, part in listed.items()}
    whole, tested, validation = _split(train, cut), parts.get("data.test"), parts.get("data.validation_shards")
    notes: tuple[str, ...] = (f"wds: {len(whole):,} training samples in {len(train.shards)} shards", *left_out)
    if tested is None:
        whole, tested = split_off_test(whole)
    return image_source("wds", path, names, (whole, tested, validation), notes, is_cut=test is None)


def shard_names(pattern: str, key: str) -> list[Path]:
    """Return the files of a pattern: *, ? and [...] as in a shell, {000..146} counts.

    Raises:
        UsageError: when there are none, or one that is counted is missing.
    """
    found = _RANGE.search(pattern)
    if found is None:
        files = sorted(glob(str(Path(pattern).expanduser())))  # noqa: PTH207  # a pattern may begin at the root
        if not files:
            raise UsageError(f"{key}: {pattern}: no such files")
        return [Path(file) for file in files]
    first, last = found.groups()
    numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    return [
        file for each in numbers for file in shard_names(pattern[: found.start()] + each + pattern[found.end() :], key)
    ]


@dataclass(frozen=True, slots=True)
class _Listed:
    """Where the images of some shards lie: arrays, one entry a sample."""

    shards: Sequence[Path]
    shard: NDArray[Any]
    offset: NDArray[Any]
    length: NDArray[Any]
    labels: Tensor
    names: NDArray[Any]

    def name(self, number: int) -> str:
        """Return what a sample is called."""
        return f"{self.shards[self.shard[number]]}: {self.names[number].decode()}"

    def __call__(self, number: int) -> Image.Image:
        with self.shards[self.shard[number]].open("rb") as opened:
            opened.seek(int(self.offset[number]))
            return decode(io.BytesIO(opened.read(int(self.length[number]))), self.name(number), advice=LEAVE_OUT)

    def is_complete(self, number: int) -> bool:
        """Say whether an image is surely not cut off, by the ends of its file."""
        start, length = int(self.offset[number]), int(self.length[number])
        with self.shards[self.shard[number]].open("rb", buffering=0) as opened:
            opened.seek(start)
            first = opened.read(min(ENDS, length))
            opened.seek(start + max(0, length - ENDS))
            return is_complete(first, opened.read(min(ENDS, length)), length)


def _readable(listed: _Listed, pattern: str) -> tuple[_Listed, tuple[str, ...]]:
    """Return what can be decoded, and a note on what cannot."""
    kept, left_out = readable(listed, len(listed.labels), name_of=listed.name)
    rows = kept.numpy()
    lasting = replace(
        listed,
        shard=listed.shard[rows],
        offset=listed.offset[rows],
        length=listed.length[rows],
        labels=listed.labels[kept],
        names=listed.names[rows],
    )
    return lasting, left_out_note("wds", pattern, left_out)


def _split(listed: _Listed, cut: Cut) -> Split:
    blocks = torch.from_numpy(listed.shard)
    return image_split(
        listed,
        listed.labels,
        cut,
        name_of=listed.name,
        is_complete=listed.is_complete,
        described=listed.names,
        blocks=None if cut.is_in_memory else blocks,
    )


def _listed(pattern: str, key: str, target: str) -> _Listed:
    shards = shard_names(pattern, key)
    places: list[tuple[int, int, int]] = []
    labels: list[int] = []
    names: list[bytes] = []
    for number, shard in enumerate(shards):
        for name, image, label_text in _samples(shard, key, target):
            if not label_text.isdecimal():
                raise UsageError(
                    f"{key}: {shard}: {name}.{target} holds {label_text[:20]!r}, expected a whole number from 0"
                )
            places.append((number, image.offset_data, image.size))
            labels.append(int(label_text))
            names.append(name.encode())
    shard_of, offsets, lengths = (np.array(values, dtype=np.int64) for values in zip(*places, strict=True))
    return _Listed(shards, shard_of, offsets, lengths, torch.tensor(labels), np.array(names))


def _samples(shard: Path, key: str, target: str) -> list[tuple[str, tarfile.TarInfo, str]]:
    """Return the name of each sample of a shard, where its image lies, and what stands in its label's file."""
    images: dict[str, tarfile.TarInfo] = {}
    texts: dict[str, str] = {}
    try:
        with tarfile.open(shard, "r:") as opened:  # not compressed: samples are read at their place
            for member in opened:
                place = Path(member.name)
                stem, _, suffix = place.name.partition(".")
                if not member.isfile() or not stem:
                    continue
                name = str(place.parent / stem)
                if suffix.lower() == target:
                    content = opened.extractfile(member)
                    texts[name] = "" if content is None else content.read(64).decode("utf-8", "replace").strip()
                elif f".{suffix.lower()}" in IMAGE_SUFFIXES:
                    images[name] = member
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UsageError(f"{key}: {shard}: cannot be read ({' '.join(str(error).split())})") from error
    if not images:
        raise UsageError(f"{key}: {shard}: holds no images")
    if lonely := sorted(set(images) ^ set(texts)):
        lacks = f"no .{target} file" if lonely[0] in images else "no image"
        raise UsageError(f"{key}: {shard}: sample {lonely[0]} has {lacks}")
    return [(name, image, texts[name]) for name, image in images.items()]
