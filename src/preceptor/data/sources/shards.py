"""Shards in WebDataset layout: .tar files in which the files of a sample share one name, local or behind a URL.

The shards are listed once, from their headers, and their indexes kept; then every sample is one read away, so that labels,
splits, views, label stores and resuming within an epoch work as for any other data. An epoch reads a few shards at a time, in its
own order.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from preceptor.data.sources.shard_files import Shard, find_shards
from preceptor.data.sources.shard_index import index_shards
from preceptor.data.split import Split, count_classes
from preceptor.data.stratify import split_off_test

__all__ = ["wds"]


def wds(
    *,
    path: str,
    test: str | None = None,
    validation_shards: str | None = None,
    size: int | None = None,
    in_memory: bool | None = None,
    centre: float = 0.875,
    target: str | None = "cls",
    skip_unreadable: bool = False,
) -> Source:
    """Images in WebDataset shards: PATTERN of .tar files, as in train-{000..146}.tar, train-*.tar or s3://BUCKET/train-*.tar.

    Args:
        path: the training shards; URLs are those of fsspec.
        test: the test shards; without them, a fifth of the samples is split off.
        validation_shards: shards for every choice made along the way; without them, they are split from train.
        size: as for folder.
        in_memory: as for folder.
        centre: as for folder.
        target: suffix of the file with a sample's class, a whole number; json:FIELD: a field of its .json file; null: samples
            have no classes, as a pool (unlabelled=) needs none.
        skip_unreadable: as for folder.
    """
    cut = Cut(size, centre, in_memory)
    patterns = {"data.path": path, "data.test": test, "data.validation_shards": validation_shards}
    named = {key: pattern for key, pattern in patterns.items() if pattern is not None}
    listed: dict[str, _Listed] = {}
    notes: tuple[str, ...] = ()
    for key, pattern in named.items():
        listed[key], more = _listed(pattern, key, target)
        notes += more
    num_classes = count_classes([each.labels for each in listed.values()], f"data.path: {path}")
    names = tuple(str(number) for number in range(max(num_classes, 2)))
    if skip_unreadable:
        for key, pattern in named.items():
            listed[key], more = _readable(listed[key], pattern)
            notes += more
    train, num_shards = _split(listed["data.path"], cut), len(listed["data.path"].shards)
    others = sum(each.num_others for each in listed.values())
    notes = (f"wds: {len(train):,} training samples in {num_shards:,} shards", *notes)
    its_label = "" if target is None else f" nor its .{target.partition(':')[0]}"
    notes += (f"wds: left out: {others:,} files that are neither an image{its_label}",) if others else ()
    for key, pattern in named.items():
        notes += turned_note("wds", pattern, listed[key].is_turned, len(listed[key].labels))
    splits = {key: _split(each, cut) for key, each in listed.items() if key != "data.path"}
    if test is None:
        train, splits["data.test"] = split_off_test(train)
    three = (train, splits["data.test"], splits.get("data.validation_shards"))
    source = image_source("wds", path, names, three, notes, cut=cut, is_cut=test is None)
    return replace(source, is_labelled=target is not None)


@dataclass(frozen=True, slots=True)
class _Listed:
    """Where the images of some shards lie: arrays, one entry per sample; and how many other files lie there."""

    shards: Sequence[Shard]
    shard: NDArray[Any]
    offset: NDArray[Any]
    length: NDArray[Any]
    labels: Tensor
    names: NDArray[Any]
    num_others: int

    def name(self, number: int) -> str:
        """Return the name of a sample in messages."""
        return f"{self.shards[self.shard[number]].name}: {self.names[number].decode('utf-8', 'replace')}"

    def __call__(self, number: int) -> Image.Image:
        return decode(self._file(number), self.name(number), advice=LEAVE_OUT)

    def is_turned(self, number: int) -> bool:
        """Return whether an image is turned upright as its EXIF says."""
        return is_turned(self._file(number))

    def _file(self, number: int) -> io.BytesIO:
        return io.BytesIO(self._read(number, 0, int(self.length[number])))

    def _read(self, number: int, start: int, length: int) -> bytes:
        """Return bytes of an image file."""
        return self.shards[int(self.shard[number])].read(int(self.offset[number]) + start, length)

    def ends(self, number: int, count: int) -> Ends:
        """Return the first and the last bytes of an image file, up to so many, and its length."""
        length = int(self.length[number])
        if length <= 2 * count:  # one read, because networks answer slowly
            content = self._read(number, 0, length)
            return content[:count], content[max(0, length - count) :], length
        if count == 0:
            return b"", b"", length
        return self._read(number, 0, count), self._read(number, length - count, count), length

    def is_complete(self, number: int) -> bool:
        """Return whether an image is certainly not truncated, judged by the ends of its file."""
        return is_complete(*self.ends(number, ENDS))

    def identity(self, numbers: Tensor) -> bytes:
        """Return what tells these images from others: see `image_identity`."""
        return image_identity(numbers, self.names, self.ends, self.length)


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


def _listed(pattern: str, key: str, target: str | None) -> tuple[_Listed, tuple[str, ...]]:
    """Return the samples of a pattern, and notes on their listing."""
    shards = find_shards(pattern, key)
    indexed = index_shards(shards, key, target)
    each = indexed.indexes
    counts = [len(index.labels) for index in each]
    listed = _Listed(
        shards,
        np.repeat(np.arange(len(shards), dtype=np.int32), counts),
        np.concatenate([index.offsets for index in each]),
        np.concatenate([index.lengths for index in each]),
        torch.from_numpy(np.concatenate([index.labels for index in each])),
        np.concatenate([index.names for index in each]),
        sum(index.num_others for index in each),
    )
    return listed, indexed.notes(key)
