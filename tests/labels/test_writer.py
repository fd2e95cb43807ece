"""Label stores that are written: resumed, repaired, extended, refused, shared by several processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.labels import LabelStore, check_folder, write_labels
from small_store import SAMPLES, WANTED, Requests, logits, predict


class Recorder:
    """Predicts, and records which rows were requested."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []

    def __call__(self, requests: Requests) -> Iterator[Tensor]:
        for view, rows in requests:
            self.rows += [(view, int(row)) for row in rows]
            yield logits(view, rows)


def test_intact_files_are_not_made_again(folder: Path) -> None:
    recorded = Recorder()
    write_labels(folder, WANTED, recorded)
    assert recorded.rows == []


def test_logits_that_are_not_finite_are_named_with_their_place(tmp_path: Path) -> None:
    def spoilt(requests: Requests) -> Iterator[Tensor]:
        return (torch.where((rows == 13)[:, None], torch.nan, logits(view, rows)) for view, rows in requests)

    with pytest.raises(UsageError, match=r"labels: view 1, samples 10 to 13: logits of row 3 are not finite"):
        write_labels(tmp_path / "l", WANTED, spoilt, batch_size=4)


def test_more_views_are_added(folder: Path) -> None:
    recorded = Recorder()
    write_labels(folder, replace(WANTED, views=3), recorded)
    assert recorded.rows == [(3, row) for row in range(SAMPLES)]
    assert LabelStore(folder).views == 3


def test_fewer_views_take_nothing_away(folder: Path) -> None:
    write_labels(folder, replace(WANTED, views=1), predict)
    assert LabelStore(folder).views == 2


def test_an_interruption_loses_one_file(tmp_path: Path) -> None:
    def until_row_12_of_view_2(requests: Requests) -> Iterator[Tensor]:
        for view, rows in requests:
            if view == 2 and int(rows.max()) >= 12:
                raise KeyboardInterrupt
            yield logits(view, rows)

    with pytest.raises(KeyboardInterrupt):
        write_labels(tmp_path / "l", WANTED, until_row_12_of_view_2, batch_size=4)
    with pytest.raises(
        UsageError, match=r"2 files are missing \(view0002-00001.npy, ...\); the same `preceptor label`"
    ):
        LabelStore(tmp_path / "l")
    recorded = Recorder()
    write_labels(tmp_path / "l", WANTED, recorded, batch_size=4)
    assert recorded.rows == [(2, row) for row in range(10, SAMPLES)]
    assert LabelStore(tmp_path / "l").logits(2, torch.arange(SAMPLES)).equal(logits(2, torch.arange(SAMPLES)))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [(flip_a_bit, "is damaged"), (lambda path: path.write_bytes(path.read_bytes()[:-7]), "is damaged")],
)
def test_only_a_damaged_file_is_made_again(folder: Path, spoil: Callable[[Path], object], what: str) -> None:
    spoil(folder / "view0001-00001.npy")
    store = LabelStore(folder)
    assert store.logits(1, torch.tensor([3])).equal(logits(1, torch.tensor([3])))  # another file
    with pytest.raises(UsageError, match=rf"view0001-00001.npy {what} .*the same `preceptor label` command again"):
        store.logits(1, torch.tensor([3, 12]))
    recorded = Recorder()
    write_labels(folder, WANTED, recorded)
    assert recorded.rows == [(1, row) for row in range(10, 20)]
    assert LabelStore(folder).logits(1, torch.tensor([12])).equal(logits(1, torch.tensor([12])))


def test_a_device_in_the_place_of_a_file_is_replaced(folder: Path) -> None:
    path = folder / "view0001-00001.npy"
    path.unlink()
    path.symlink_to("/dev/zero")
    recorded = Recorder()
    write_labels(folder, WANTED, recorded)
    assert recorded.rows == [(1, row) for row in range(10, 20)]
    assert not path.is_symlink()


def test_a_missing_file_is_found_and_made_again(folder: Path) -> None:
    (folder / "view0002-00000.npy").unlink()
    with pytest.raises(UsageError, match=r"view0002-00000.npy is missing"):
        LabelStore(folder).logits(2, torch.tensor([0]))
    recorded = Recorder()
    write_labels(folder, WANTED, recorded)
    assert recorded.rows == [(2, row) for row in range(10)]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(UsageError, match=r"is not empty and holds no labels \(thesis.tex\)"):
        write_labels(tmp_path, WANTED, predict)
    with pytest.raises(UsageError, match=r"thesis\.tex is a file, not a folder"):
        write_labels(tmp_path / "thesis.tex", WANTED, predict)
    with pytest.raises(UsageError, match=r"holds no labels \(no manifest.json\)"):
        LabelStore(tmp_path)


class Group:
    """Threads that exchange values, as processes do over a network."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count)
        self._values: list[Any] = [None] * count

    def gather(self, number: int, value: Any) -> list[Any]:
        self._values[number] = value
        self._barrier.wait(timeout=30)
        values = list(self._values)
        self._barrier.wait(timeout=30)
        return values


def written_by(count: int, folder: Path, predict: Callable[[Requests], Iterator[Tensor]], batch_size: int) -> list[Any]:
    """Let `count` threads write the labels together; return the manifest and the number of rows of each, or its error."""
    group = Group(count)

    def write(number: int) -> Any:
        counts: list[int] = []
        try:
            manifest = write_labels(
                folder,
                WANTED,
                predict,
                batch_size=batch_size,
                advance=counts.append,
                rank=number,
                world_size=count,
                gather=partial(group.gather, number),
            )
        except UsageError as error:
            return error
        return manifest, sum(counts)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(write, range(count)))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_processes_write_what_one_writes(folder: Path, tmp_path: Path, count: int) -> None:
    """Files of 10, 10 and 5 rows in batches of 4: three, three and two to be shared."""
    recorded = Recorder()
    ends = written_by(count, tmp_path / "l", recorded, batch_size=4)
    assert sorted(recorded.rows) == [(view, row) for view in (1, 2) for row in range(SAMPLES)]
    assert all(manifest == ends[0][0] for manifest, _ in ends)
    assert ends[0][1] == 2 * SAMPLES
    for path in folder.iterdir():
        assert (tmp_path / "l" / path.name).read_bytes() == path.read_bytes()


def test_all_processes_raise_the_error_of_one(tmp_path: Path, folder: Path) -> None:
    def spoilt(requests: Requests) -> Iterator[Tensor]:
        return (torch.where((rows == 5)[:, None], torch.nan, logits(view, rows)) for view, rows in requests)

    ends = written_by(3, tmp_path / "l", spoilt, batch_size=4)
    assert {str(end) for end in ends} == {"labels: view 1, samples 4 to 7: logits of row 1 are not finite"}
    (folder / "manifest.json").write_text("{]")
    ends = written_by(2, folder, predict, batch_size=4)
    assert len(ends) == 2
    assert all("manifest.json: cannot be read" in str(end) for end in ends)


def test_what_a_killed_writer_left_is_not_in_the_way(tmp_path: Path) -> None:
    for name in (".lock", f".preceptor-{'0' * 32}.tmp"):
        (tmp_path / name).touch()
    check_folder(tmp_path)
