from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from numpy.typing import NDArray

from preceptor.data.sources import shard_index
from preceptor.data.sources.shard_files import find_shards
from preceptor.data.sources.shard_index import Indexed, index_shards
from preceptor.data.sources.shard_listing import ShardIndex
from preceptor.errors import UsageError
from tars import aged, write_digits


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "preceptor" / "shards"


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    return aged(write_digits(tmp_path / "set" / "a.tar", range(10)))


def index(pattern: object, target: str | None = "cls") -> Indexed:
    return index_shards(find_shards(str(pattern), "data.path"), "data.path", target)


def same(one: Indexed, other: Indexed) -> bool:
    """Return whether indexes hold the same arrays of the same types."""
    return all(
        mine.num_others == theirs.num_others and all(map(equal, arrays(mine), arrays(theirs)))
        for mine, theirs in zip(one.indexes, other.indexes, strict=True)
    )


def arrays(index: ShardIndex) -> list[NDArray[Any]]:
    return [index.offsets, index.lengths, index.labels, index.names]


def equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other)


def test_a_shard_is_listed_once(shard: Path, cache: Path) -> None:
    first, second = index(shard), index(shard)
    assert (first.num_listed, first.num_kept) == (1, 1)
    assert (second.num_listed, second.num_kept) == (0, 1)
    assert same(first, second)
    assert sorted(entry.name for entry in shard.parent.iterdir()) == [".a.tar.cls.npz", "a.tar"]
    assert not cache.exists()
    assert first.notes("data.path") == ("wds: data.path: shards listed: 1; their indexes are kept for the next time",)
    assert second.notes("data.path") == ()
    assert index(shard.parent / "*").num_listed == 0  # a pattern does not find the index


def test_a_shard_that_has_changed_is_listed_again(shard: Path) -> None:
    first = index(shard)
    state = shard.stat()
    write_digits(shard, range(10, 20))  # as long as before
    assert shard.stat().st_size == state.st_size
    os.utime(shard, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    changed = index(shard)
    assert changed.num_listed == 1
    assert not same(first, changed)
    write_digits(shard, range(30))
    os.utime(shard, ns=(state.st_atime_ns, state.st_mtime_ns + 1))  # longer, of the same time
    assert (index(shard).num_listed, len(index(shard).indexes[0].labels)) == (1, 30)


def test_a_shard_written_a_moment_ago_has_no_index_yet(tmp_path: Path) -> None:
    file = write_digits(tmp_path / "a.tar", range(5))
    fresh = index(file)
    assert (fresh.num_listed, fresh.num_kept) == (1, 0)
    assert (
        "1 of 1 have no index and are listed each time: they were written a moment ago" in fresh.notes("data.path")[0]
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tar"]


def test_an_index_belongs_to_its_target(shard: Path) -> None:
    with_labels, without = index(shard), index(shard, None)
    assert without.num_listed == 1
    assert without.indexes[0].labels.tolist() == [0] * 10
    assert (with_labels.indexes[0].num_others, without.indexes[0].num_others) == (0, 10)
    assert [index(shard, target).num_listed for target in ("cls", None)] == [0, 0]
    with pytest.raises(UsageError, match=r"sample 00000 has no \.txt file"):
        index(shard, "txt")


def resaved(change: Callable[[dict[str, NDArray[Any]]], object]) -> Callable[[bytes, Path], None]:
    def damage(_: bytes, place: Path) -> None:
        with np.load(place) as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez(place, **arrays)

    return damage


def flipped(content: bytes, place: Path) -> None:
    at = content.index(b"00003")  # a name
    place.write_bytes(content[:at] + b"9" + content[at + 1 :])


def an_array(_: bytes, place: Path) -> None:
    with place.open("wb") as handle:
        np.save(handle, np.zeros(3))


class Opened:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import os; os.environ['AN_INDEX_RAN_CODE'] = 'yes'",)


DAMAGES: dict[str, Callable[[bytes, Path], object]] = {
    "empty": lambda _, place: place.write_bytes(b""),
    "truncated": lambda content, place: place.write_bytes(content[:-40]),
    "one byte": flipped,
    "no zip": lambda _, place: place.write_bytes(b"index" * 100),
    "an array": an_array,
    "a pickle": lambda _, place: place.write_bytes(pickle.dumps(Opened())),
    "objects": resaved(lambda arrays: arrays.update(names=np.array([Opened()] * 10, dtype=object))),
    "no places": resaved(lambda arrays: arrays.pop("places")),
    "no text": resaved(lambda arrays: arrays.update(description=np.frombuffer(b"{", dtype=np.uint8))),
    "no mapping": resaved(lambda arrays: arrays.update(description=np.frombuffer(b"[1]", dtype=np.uint8))),
    "short names": resaved(lambda arrays: arrays.update(names=arrays["names"][:-1])),
    "other names": resaved(lambda arrays: arrays.update(names=np.char.add(arrays["names"], b"x"))),
    "wide names": resaved(lambda arrays: arrays.update(names=arrays["names"].astype("U"))),
    "floats": resaved(lambda arrays: arrays.update(places=arrays["places"].astype(np.float64))),
    "beyond the end": resaved(lambda arrays: arrays.update(places=arrays["places"] + 10**6)),
    "overflow": resaved(lambda arrays: arrays.update(places=arrays["places"] + (2**63 - 10**6))),
    "negative": resaved(lambda arrays: arrays.update(places=arrays["places"] - 10**6)),
    "nothing": resaved(lambda arrays: arrays.update(names=arrays["names"][:0], places=arrays["places"][:, :0])),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_an_index_that_is_damaged_or_foreign_is_made_anew(damage: Callable[[bytes, Path], object], shard: Path) -> None:
    first = index(shard)
    place = shard.with_name(".a.tar.cls.npz")
    damage(place.read_bytes(), place)
    again = index(shard)
    assert again.num_listed == 1
    assert same(first, again)
    assert "AN_INDEX_RAN_CODE" not in os.environ
    assert index(shard).num_listed == 0


def test_the_index_of_another_shard_is_foreign(shard: Path) -> None:
    first = index(shard)
    other = shard.with_name("b.tar")
    write_digits(other, range(10, 20))
    state = shard.stat()
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))  # of the same size and time
    shard.with_name(".a.tar.cls.npz").rename(shard.with_name(".b.tar.cls.npz"))
    found = index(other)
    assert found.num_listed == 1
    assert not same(first, found)


def test_where_a_folder_cannot_be_written_the_cache_keeps_the_index(
    shard: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard.with_name(".a.tar.cls.npz").mkdir()  # which refuses root too
    first, second = index(shard), index(shard)
    assert (first.num_kept, second.num_listed) == (1, 0)
    assert same(first, second)
    assert len(list(cache.iterdir())) == 1
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    lost = index(shard)
    assert (lost.num_listed, lost.num_kept) == (1, 0)
    assert "neither their folder nor the cache can be written" in lost.notes("data.path")[0]


def test_the_cache_is_the_users(shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard.with_name(".a.tar.cls.npz").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for told in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", told)
        index(shard)
        (kept,) = (tmp_path / "home" / ".cache" / "preceptor" / "shards").iterdir()
        kept.unlink()


def test_indexes_of_urls_are_in_the_cache(shard: Path, cache: Path, tmp_path: Path) -> None:
    files, url = fsspec.filesystem("memory"), f"memory://{tmp_path.name}/a.tar"
    files.pipe(url, shard.read_bytes())
    places = [url, f"file://{shard}"]
    first = [index(place) for place in places]
    assert [each.num_kept for each in first] == [1, 1]
    assert len(list(cache.iterdir())) == 2
    for place, known in zip(places, first, strict=True):
        again = index(place)
        assert again.num_listed == 0
        assert same(again, known)
        assert same(again, index(shard))
    content = write_digits(tmp_path / "other.tar", range(10, 20)).read_bytes()
    files.pipe(url, content)  # as long as before
    changed = index(url)
    assert changed.num_listed == 1
    assert not same(changed, first[0])
    files.pipe(url, content[:5000])
    with pytest.raises(UsageError, match=r"data\.path: memory://.*a\.tar: cannot be read at byte [\d,]+ \("):
        index(url)
    files.rm(f"memory://{tmp_path.name}", recursive=True)


def test_several_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        aged(write_digits(tmp_path / f"{number}.tar", range(number, 2 * number + 2)))
    monkeypatch.setattr(shard_index, "_num_processes", lambda: 1)
    one = index(tmp_path / "*.tar")
    for kept in tmp_path.glob(".*.npz"):
        kept.unlink()
    monkeypatch.setattr(shard_index, "_num_processes", lambda: 2)
    monkeypatch.setattr(shard_index, "_ALONE", 0.0)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    two = index(tmp_path / "*.tar")
    assert (two.num_listed, two.num_kept) == (8, 8)
    assert same(one, two)
    (tmp_path / "5.tar").write_bytes(b"?" * 4096)
    with pytest.raises(UsageError, match=r"5\.tar: cannot be read at byte 0"):  # from another process, in one line
        index(tmp_path / "*.tar")


def test_processes_may_keep_the_same_index_at_once(shard: Path) -> None:
    expected = index(shard)
    shard.with_name(".a.tar.cls.npz").unlink()
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("fork")) as pool:
        found = list(pool.map(index, [shard] * 20))
    assert all(same(each, expected) for each in found)
    assert index(shard).num_listed == 0
    assert sorted(entry.name for entry in shard.parent.iterdir()) == [".a.tar.cls.npz", "a.tar"]
