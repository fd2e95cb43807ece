from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from preceptor.data.sources.shard_files import find_shards
from preceptor.data.sources.shard_listing import ShardIndex, list_shard
from preceptor.errors import UsageError
from tars import add


def listed(file: Path, target: str | None = "cls") -> ShardIndex:
    (shard,) = find_shards(str(file), "data.path")
    return list_shard(shard, "data.path", target)


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_are_found_in_every_format_of_tar(layout: int, tmp_path: Path) -> None:
    long = "n" * 99 + "/" + "m" * 40
    names = ["b", "./a", "dir/c", "dir//d", long, *(["ü"] if layout == tarfile.PAX_FORMAT else [])]
    with tarfile.open(tmp_path / "a.tar", "w", format=layout) as shard:
        for number, name in enumerate(names):
            mtime = 1e9 + 0.25 if layout == tarfile.PAX_FORMAT else 10**9  # as webdataset writes it
            add(shard, f"{name}.cls", f" {number}\n".encode(), mtime=mtime)
            add(shard, f"{name}.JPG", bytes([number]) * (500 + number), mtime=mtime)
        add(shard, "dir/readme", b"")
        add(shard, ".hidden.png", b"")
        shard.add(tmp_path, "folder.png", recursive=False)
    index = listed(tmp_path / "a.tar")
    assert [name.decode() for name in index.names.tolist()] == [
        name.replace("./", "").replace("//", "/") for name in names
    ]
    assert index.labels.tolist() == list(range(len(names)))
    assert index.num_others == 2
    content = (tmp_path / "a.tar").read_bytes()
    for number, (offset, length) in enumerate(zip(index.offsets.tolist(), index.lengths.tolist(), strict=True)):
        assert content[offset : offset + length] == bytes([number]) * (500 + number)
    assert [array.dtype for array in (index.offsets, index.lengths, index.labels)] == [np.dtype(np.int64)] * 3


def test_classes_come_from_a_number_a_field_or_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    with tarfile.open(file, "w") as shard:
        for number in range(3):
            add(shard, f"{number}.jpg", b"x")
            add(shard, f"{number}.txt", str(5 + number).encode())
            add(shard, f"{number}.json", json.dumps({"caption": "a" * 5000, "class": number, "word": "cat"}).encode())
    assert listed(file, "txt").labels.tolist() == [5, 6, 7]
    assert listed(file, "json:class").labels.tolist() == [0, 1, 2]
    plain = listed(file, None)
    assert plain.labels.tolist() == [0, 0, 0]
    assert plain.num_others == 6
    for target, message in (
        ("json:word", r"0\.json holds 'cat' as 'word', expected a whole number from 0"),
        ("json:label", r"0\.json has no field 'label' with a class"),
        ("txt:label", r"0\.txt has no field 'label' with a class"),
        ("json", r"0\.json holds '\{\"caption\": .*', expected a whole number from 0"),
        ("cls", r"sample 0 has no \.cls file"),
    ):
        with pytest.raises(UsageError, match=rf"data\.path: .*a\.tar: .*{message}"):
            listed(file, target)


def test_a_damaged_shard_is_named_with_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    with tarfile.open(file, "w") as shard:
        for number in range(10):
            add(shard, f"{number}.png", b"x" * 2000)
            add(shard, f"{number}.cls", b"3")
    content, each = file.read_bytes(), 512 + 2048 + 512 + 512
    damaged = rf"cannot be read at byte {4 * each:,} \(damaged header\)"
    assert len(listed(file).labels) == 10

    def refused(content: bytes, message: str) -> None:
        file.write_bytes(content)
        with pytest.raises(UsageError, match=rf"data\.path: .*a\.tar: {message}"):
            listed(file)

    refused(content[: 4 * each + 1500], rf"cannot be read at byte {4 * each:,} \(unexpected end of data\)")
    refused(content[: 4 * each + 300], damaged)
    refused(
        content[: 4 * each] + b"?" * 512 + content[4 * each + 512 :],
        damaged,
    )
    refused(b"no shard at all" * 100, r"cannot be read at byte 0 \(")
    refused(b"", r"cannot be read at byte 0 \(empty file\)")
    refused(content[:each] + content[: 2 * each], r"sample 0 has two images: the second is 0\.png")
