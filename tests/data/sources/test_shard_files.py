from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from preceptor.data.sources import shard_files
from preceptor.data.sources.shard_files import find_shards, shard_names
from preceptor.errors import UsageError
from tars import aged

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        (tmp_path / f"train-{number:03d}.tar").write_bytes(CONTENT)
    (tmp_path / "test.tar").write_bytes(b"x")
    return tmp_path


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    """A folder in fsspec's memory."""
    files, place = fsspec.filesystem("memory"), f"memory://{tmp_path.name}"
    for number in range(3):
        files.pipe(f"{place}/train-{number:03d}.tar", CONTENT)
    yield place
    files.rm(place, recursive=True)


def test_patterns_count_and_match(folder: Path) -> None:
    names = [f"{folder}/train-{number:03d}.tar" for number in range(12)]
    assert shard_names(f"{folder}/train-{{008..011}}.tar", "data.path") == names[8:]
    assert shard_names(f"{folder}/train-0{{0..1}}{{0..1}}.tar", "data.path") == [*names[:2], *names[10:]]
    assert shard_names(f"{folder}/train-*.tar", "data.path") == names
    assert shard_names(f"{folder}/t*-00[01].tar", "data.path") == names[:2]
    for missing in ("train-{010..012}.tar", "train-012.tar", "val-*.tar"):
        with pytest.raises(UsageError, match=r"data\.test: .*(train-012\.tar|val-\*\.tar): no such files"):
            shard_names(f"{folder}/{missing}", "data.test")


def test_a_pipe_is_no_shard(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train-000.tar")
    with pytest.raises(
        UsageError, match=r"^data\.path: .*train-000\.tar: is a pipe, a socket or a device, not a file$"
    ):
        find_shards(f"{tmp_path}/train-000.tar", "data.path")


def test_patterns_of_urls(bucket: str, folder: Path) -> None:
    found = [
        [shard.name for shard in find_shards(f"{bucket}/{each}.tar", "data.path")] for each in ("*", "train-{000..002}")
    ]
    assert [name.rpartition("/")[2] for name in found[0]] == [f"train-{number:03d}.tar" for number in range(3)]
    assert found[1] == [f"{bucket}/train-{number:03d}.tar" for number in range(3)]
    assert len(find_shards(f"file://{folder}/train-*.tar", "data.path")) == 12


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{bucket}/train-{{002..003}}.tar", r"data\.path: memory://.*train-003\.tar: no such file$"),
        ("{bucket}/val-*.tar", r"data\.path: memory://.*val-\*\.tar: no such files$"),
        ("{bucket}", r"data\.path: memory://.*: is no file of a known size$"),
        ("nowhere://a.tar", r"data\.path: nowhere://a\.tar: cannot be read \(Protocol not known: nowhere\)$"),
        ("nowhere://*.tar", r"data\.path: nowhere://\*\.tar: cannot be listed \(Protocol not known: nowhere\)$"),
    ],
)
def test_a_url_without_shards_is_one_line(pattern: str, message: str, bucket: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_shards(pattern.format(bucket=bucket), "data.path")


def test_bytes_from_any_place_by_threads_and_forked_processes(folder: Path, bucket: str) -> None:
    places = [(number * 97 % 9000, 100 + number) for number in range(200)]
    expected = [CONTENT[start : start + length] for start, length in places]
    for name in (f"{folder}/train-001.tar", f"file://{folder}/train-001.tar", f"{bucket}/train-001.tar"):
        (shard,) = find_shards(name, "data.path")
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda place, shard=shard: shard.read(*place), places)) == expected
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as processes:
            assert list(processes.map(shard.read, *zip(*places, strict=True), chunksize=20)) == expected
        assert pickle.loads(pickle.dumps(shard)).read(3, 5) == CONTENT[3:8]  # as it comes to a process of a fork server
        assert shard.read(7, 0) == b""


def num_open() -> int:
    opened = Path("/proc/self/fd")
    return len(list(opened.iterdir())) if opened.exists() else pytest.skip("no /proc here")


def test_a_process_opens_a_shard_once(folder: Path) -> None:
    shards = find_shards(f"{folder}/train-*.tar", "data.path")
    shard_files._handle.cache_clear()
    before = num_open()
    for _ in range(2):
        for shard in shards:
            assert shard.read(1, 4) == CONTENT[1:5]
    assert num_open() == before + len(shards)
    assert shard_files._handle.cache_info().misses == len(shards)
    shard_files._handle.cache_clear()
    assert num_open() == before


def test_a_shard_that_changes_is_noticed(folder: Path, bucket: str) -> None:
    file = folder / "train-000.tar"
    (shard,) = find_shards(str(file), "data.path")
    assert shard.is_unchanged()
    aged(file)
    assert not shard.is_unchanged()
    with pytest.raises(UsageError, match=r"train-000\.tar: has changed since it was listed; start again"):
        shard.read(0, 10)
    file.unlink()
    assert not shard.is_unchanged()
    with pytest.raises(UsageError, match=r"train-000\.tar: cannot be read at byte 1,000 \(No such file or directory\)"):
        shard.read(1000, 10)
    (remote,) = find_shards(f"{bucket}/train-000.tar", "data.path")
    assert remote.is_unchanged()
    fsspec.filesystem("memory").pipe(remote.name, CONTENT[:5000])
    assert not remote.is_unchanged()
    with pytest.raises(UsageError, match=r"train-000\.tar: 100 bytes expected from byte 4,950 on, got 50"):
        remote.read(4950, 100)


def test_only_a_shard_whose_later_changes_show_is_settled(
    folder: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_settled(name: str) -> bool:
        return find_shards(name, "data.path")[0].is_settled

    file = folder / "train-000.tar"
    assert not is_settled(str(file))
    assert not is_settled(f"file://{file}")
    aged(file, -3600)  # in the future, by another clock
    assert not is_settled(str(file))
    aged(file, 7200)
    assert is_settled(str(file))
    assert is_settled(f"file://{file}")
    assert is_settled(f"{bucket}/train-000.tar")
    kind = type(fsspec.filesystem("memory"))
    told = kind.info
    monkeypatch.setattr(kind, "info", lambda self, path, **more: {**told(self, path, **more), "created": None})
    assert not is_settled(f"{bucket}/train-000.tar")  # a file system that tells sizes only
