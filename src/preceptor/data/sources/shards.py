"""Shards in WebDataset layout: .tar files in which the files of a sample share one name.

The shards are listed once, from their headers; then every sample is one read away, so that labels, splits, views, label
stores and resuming within an epoch work as for any other data. An epoch reads a few shards at a time, in its own order.
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
from preceptor.data.images.decoding import ENDS, LEAVE_OUT, decode, is_complete, is_turned
from preceptor.data.images.identity import Ends, image_identity
from preceptor.data.images.images import Cut, image_source, image_split, left_out_note, readable, turned_note
from preceptor.data.sources.walk import IMAGE_SUFFIXES
from preceptor.data.split import Split
from preceptor.data.stratify import split_off_test
from preceptor.errors import UsageError

__all__ = ["shard_names", "wds"]

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def wds(
    *,
    path: str,
    test: str | None = None,
    validation_shards: str | None = None,
    size: int | None = None,
    in_memory: bool | None = None,
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
        in_memory: as for folder.
        centre: as for folder.
        target: suffix of the file with a sample's class, a whole number.
        skip_unreadable: as for folder.
    """
    cut = Cut(size, centre, in_memory)
    train = _listed(path, "data.path", target)
    patterns = {
        key: pattern
        for key, pattern in (("data.test", test), ("data.validation_shards", validation_shards))
        if pattern is not None
    }
    listed = {key: _listed(pattern, key, target) for key, pattern in patterns.items()}
    num_classes = 1 + max(int(each.labels.max()) for each in (train, *listed.values()))
    names = tuple(str(number) for number in range(max(num_classes, 2)))
    left_out: tuple[str, ...] = ()
    if skip_unreadable:
        train, left_out = _readable(train, path)
        for key, pattern in patterns.items():
            listed[key], more = _readable(listed[key], pattern)
            left_out += more
    splits = {key: _split(each, cut) for key, each in listed.items()}
    train_split, test_split = _split(train, cut), splits.get("data.test")
    others = train.num_others + sum(each.num_others for each in listed.values())
    notes = (f"wds: {len(train_split):,} training samples in {len(train.shards)} shards", *left_out)
    notes += (f"wds: left out: {others:,} files that are neither an image nor its .{target}",) if others else ()
    for place, each in ((path, train), *((pattern, listed[key]) for key, pattern in patterns.items())):
        notes += turned_note("wds", place, each.is_turned, len(each.labels))
    if test_split is None:
        train_split, test_split = split_off_test(train_split)
    three = (train_split, test_split, splits.get("data.validation_shards"))
    return image_source("wds", path, names, three, notes, cut=cut, is_cut=test is None)


def shard_names(pattern: str, key: str) -> list[Path]:
    """Return the files of a pattern: *, ? and [...] as in a shell; {000..146} counts.

    Raises:
        UsageError: when there are none, or a counted one is missing.
    """
    braces = _RANGE.search(pattern)
    if braces is None:
        files = sorted(glob(str(Path(pattern).expanduser())))  # noqa: PTH207  # a pattern may begin at the root
        if not files:
            raise UsageError(f"{key}: {pattern}: no such files")
        return [Path(file) for file in files]
    first, last = braces.groups()
    numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    return [
        file
        for each in numbers
        for file in shard_names(pattern[: braces.start()] + each + pattern[braces.end() :], key)
    ]


@dataclass(frozen=True, slots=True)
class _Listed:
    """Where the images of some shards lie: arrays, one entry per sample; and how many other files lie there."""

    shards: Sequence[Path]
    shard: NDArray[Any]
    offset: NDArray[Any]
    length: NDArray[Any]
    labels: Tensor
    names: NDArray[Any]
    num_others: int

    def name(self, number: int) -> str:
        """Return the name of a sample in messages."""
        return f"{self.shards[self.shard[number]]}: {self.names[number].decode()}"

    def __call__(self, number: int) -> Image.Image:
        return decode(self._file(number), self.name(number), advice=LEAVE_OUT)

    def is_turned(self, number: int) -> bool:
        """Return whether an image is turned upright as its EXIF says."""
        return is_turned(self._file(number))

    def _file(self, number: int) -> io.BytesIO:
        with self.shards[self.shard[number]].open("rb") as opened:
            opened.seek(int(self.offset[number]))
            return io.BytesIO(opened.read(int(self.length[number])))

    def ends(self, number: int, count: int) -> Ends:
        """Return the first and the last bytes of an image file, up to so many, and its length."""
        start, length = int(self.offset[number]), int(self.length[number])
        if count == 0:
            return b"", b"", length
        with self.shards[self.shard[number]].open("rb", buffering=0) as opened:
            opened.seek(start)
            first = opened.read(min(count, length))
            opened.seek(start + max(0, length - count))
            return first, opened.read(min(count, length)), length

    def is_complete(self, number: int) -> bool:
        """Return whether an image is certainly not truncated, judged by the ends of its file."""
        return is_complete(*self.ends(number, ENDS))

    def identity(self, numbers: Tensor) -> bytes:
        """Return what tells these images from others: see `image_identity`."""
        return image_identity(numbers, self.names, self.ends)


def _readable(listed: _Listed, pattern: str) -> tuple[_Listed, tuple[str, ...]]:
    """Return the samples that can be decoded, and a note on the others."""
    kept, left_out = readable(listed, len(listed.labels), name_of=listed.name)
    rows = kept.numpy()
    kept_samples = replace(
        listed,
        shard=listed.shard[rows],
        offset=listed.offset[rows],
        length=listed.length[rows],
        labels=listed.labels[kept],
        names=listed.names[rows],
    )
    return kept_samples, left_out_note("wds", pattern, left_out)


def _split(listed: _Listed, cut: Cut) -> Split:
    blocks = torch.from_numpy(listed.shard)
    return image_split(
        listed,
        listed.labels,
        cut,
        name_of=listed.name,
        is_complete=listed.is_complete,
        identity=listed.identity,
        blocks=None if cut.is_eager else blocks,
    )


def _listed(pattern: str, key: str, target: str) -> _Listed:
    shards = shard_names(pattern, key)
    places: list[tuple[int, int, int]] = []
    labels: list[int] = []
    names: list[bytes] = []
    num_others = 0
    for number, shard in enumerate(shards):
        samples, others = _samples(shard, key, target)
        num_others += others
        for name, image, label_text in samples:
            if not label_text.isdecimal():
                raise UsageError(
                    f"{key}: {shard}: {name}.{target} holds {label_text[:20]!r}, expected a whole number from 0"
                )
            places.append((number, image.offset_data, image.size))
            labels.append(int(label_text))
            names.append(name.encode())
    shard_of, offsets, lengths = (np.array(values, dtype=np.int64) for values in zip(*places, strict=True))
    return _Listed(shards, shard_of, offsets, lengths, torch.tensor(labels), np.array(names), num_others)


def _samples(shard: Path, key: str, target: str) -> tuple[list[tuple[str, tarfile.TarInfo, str]], int]:
    """Return each sample's name, the place of its image and the text of its label file; and the number of other files."""
    others = 0
    images: dict[str, tarfile.TarInfo] = {}
    texts: dict[str, str] = {}
    try:
        with tarfile.open(shard, "r:") as opened:  # uncompressed: samples are read at their offsets
            for member in opened:
                place = Path(member.name)
                stem, _, suffix = place.name.partition(".")
                if not member.isfile():
                    continue
                name = str(place.parent / stem)
                if stem and suffix.lower() == target:
                    content = opened.extractfile(member)
                    texts[name] = "" if content is None else content.read(64).decode("utf-8", "replace").strip()
                elif stem and f".{suffix.lower()}" in IMAGE_SUFFIXES:
                    if name in images:
                        raise UsageError(
                            f"{key}: {shard}: sample {name} has two images: {images[name].name}, {member.name}"
                        )
                    images[name] = member
                else:
                    others += 1
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UsageError(f"{key}: {shard}: cannot be read ({' '.join(str(error).split())})") from error
    if not images:
        raise UsageError(f"{key}: {shard}: holds no images")
    if lonely := sorted(set(images) ^ set(texts)):
        missing = f"no .{target} file" if lonely[0] in images else "no image"
        raise UsageError(f"{key}: {shard}: sample {lonely[0]} has {missing}")
    return [(name, image, texts[name]) for name, image in images.items()], others
