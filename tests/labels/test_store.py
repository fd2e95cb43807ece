"""Folders of labels: written, gone on with, damaged, refused, read at ImageNet's size."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.labels import Encoding, LabelsOf, LabelStore, Manifest, write_labels

SAMPLES = 25
OF = LabelsOf(("a1b2",), "d4d4", SAMPLES, "flip", 7, Encoding(6), "fp32")
WANTED = Manifest(OF, {"data": "digits", "teacher": "runs/t"}, views=2, rows_per_shard=10)


def said(view: int, rows: Tensor) -> Tensor:
    """Return logits that every (view, row, class) has for itself."""
    return 100.0 * view + rows[:, None] + torch.arange(6) / 8


Wanted = Iterable[tuple[int, Tensor]]


def all_said(wanted: Wanted) -> Iterator[Tensor]:
    return (said(view, rows) for view, rows in wanted)


class Asked:
    """Answers, and remembers what it was asked."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []

    def __call__(self, wanted: Wanted) -> Iterator[Tensor]:
        for view, rows in wanted:
            self.rows += [(view, int(row)) for row in rows]
            yield said(view, rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_labels(tmp_path / "labels", WANTED, all_said, batch_size=4)
    return tmp_path / "labels"


def test_rows_come_back_in_any_order_and_across_files(folder: Path) -> None:
    store = LabelStore(folder)
    assert store.views == 2
    rows = torch.tensor([24, 0, 9, 10, 10, 19, 20])
    for view in (1, 2):
        assert store.logits(view, rows).equal(said(view, rows))


def test_files_are_those_the_manifest_expects(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {".lock", "manifest.json", *(name for name, _, _ in WANTED.expected())}
    assert [len(rows) for _, _, rows in WANTED.expected()] == [10, 10, 5, 10, 10, 5]
    assert (folder / "view0001-00000.npy").stat().st_size == 128 + 10 * OF.encoding.bytes_per_sample


def test_what_is_there_is_not_asked_again(folder: Path) -> None:
    asked = Asked()
    write_labels(folder, WANTED, asked)
    assert asked.rows == []


def test_open_files_are_those_of_one_view(tmp_path: Path) -> None:
    write_labels(tmp_path / "l", replace(WANTED, views=60), all_said)
    store = LabelStore(tmp_path / "l")
    for view in range(1, 61):
        store.logits(view, torch.tensor([0, 24]))
    mapped = Path("/proc/self/maps")
    if not mapped.exists():
        pytest.skip("no /proc here")
    assert {line.split("/")[-1] for line in mapped.read_text().splitlines() if str(tmp_path) in line} == {
        "view0060-00000.npy",
        "view0060-00002.npy",
    }


def test_an_answer_that_is_not_finite_is_named_with_its_place(tmp_path: Path) -> None:
    def spoilt(wanted: Wanted) -> Iterator[Tensor]:
        return (torch.where((rows == 13)[:, None], torch.nan, said(view, rows)) for view, rows in wanted)

    with pytest.raises(UsageError, match=r"labels: view 1, samples 10 to 13: logits of row 3 are not finite"):
        write_labels(tmp_path / "l", WANTED, spoilt, batch_size=4)


def test_more_views_are_added(folder: Path) -> None:
    asked = Asked()
    write_labels(folder, replace(WANTED, views=3), asked)
    assert asked.rows == [(3, row) for row in range(SAMPLES)]
    assert LabelStore(folder).views == 3


def test_fewer_views_take_nothing_away(folder: Path) -> None:
    write_labels(folder, replace(WANTED, views=1), all_said)
    assert LabelStore(folder).views == 2


def test_an_interruption_loses_one_file(tmp_path: Path) -> None:
    def until_row_12_of_view_2(wanted: Wanted) -> Iterator[Tensor]:
        for view, rows in wanted:
            if view == 2 and int(rows.max()) >= 12:
                raise KeyboardInterrupt
            yield said(view, rows)

    with pytest.raises(KeyboardInterrupt):
        write_labels(tmp_path / "l", WANTED, until_row_12_of_view_2, batch_size=4)
    with pytest.raises(UsageError, match=r"lacks 2 files \(view0002-00001.npy, ...\); the same `preceptor label`"):
        LabelStore(tmp_path / "l")
    asked = Asked()
    write_labels(tmp_path / "l", WANTED, asked, batch_size=4)
    assert asked.rows == [(2, row) for row in range(10, SAMPLES)]
    assert LabelStore(tmp_path / "l").logits(2, torch.arange(SAMPLES)).equal(said(2, torch.arange(SAMPLES)))


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
    assert store.logits(1, torch.tensor([3])).equal(said(1, torch.tensor([3])))  # another file
    with pytest.raises(UsageError, match=rf"view0001-00001.npy {what} .*the same `preceptor label` command again"):
        store.logits(1, torch.tensor([3, 12]))
    asked = Asked()
    write_labels(folder, WANTED, asked)
    assert asked.rows == [(1, row) for row in range(10, 20)]
    assert LabelStore(folder).logits(1, torch.tensor([12])).equal(said(1, torch.tensor([12])))


def test_a_missing_file_is_found_and_made_again(folder: Path) -> None:
    (folder / "view0002-00000.npy").unlink()
    with pytest.raises(UsageError, match=r"view0002-00000.npy is missing"):
        LabelStore(folder).logits(2, torch.tensor([0]))
    asked = Asked()
    write_labels(folder, WANTED, asked)
    assert asked.rows == [(2, row) for row in range(10)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(OF, teachers=("ffff",)), r"teachers: \('a1b2',\) there, \('ffff',\) here"),
        (replace(OF, data="eeee"), "data: d4d4 there, eeee here"),
        (replace(OF, view="crop_flip"), "view: flip there, crop_flip here"),
        (replace(OF, view_seed=8), "view_seed: 7 there, 8 here"),
        (replace(OF, encoding=Encoding(6, "int8")), "dtype: float16 there, int8 here"),
        (replace(OF, encoding=Encoding(6, top=2)), "top: None there, 2 here"),
        (replace(OF, precision="bf16"), "precision: fp32 there, bf16 here"),
    ],
)
def test_other_labels_are_refused_with_the_difference(folder: Path, changed: LabelsOf, message: str) -> None:
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(UsageError, match=f"holds other labels: {message}$"):
        write_labels(folder, replace(WANTED, of=changed), all_said)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(UsageError, match=r"is not empty and holds no labels \(thesis.tex, ...\)"):
        write_labels(tmp_path, WANTED, all_said)
    with pytest.raises(UsageError, match=r"thesis\.tex is a file, not a folder"):
        write_labels(tmp_path / "thesis.tex", WANTED, all_said)
    with pytest.raises(UsageError, match=r"holds no labels \(no manifest.json\)"):
        LabelStore(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"version": 1}', "{]"])
def test_a_damaged_manifest_is_one_line(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest.json cannot be read") as caught:
        LabelStore(folder)
    assert "\n" not in str(caught.value)


def test_a_later_version_is_refused(folder: Path) -> None:
    values = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**values, "version": 9}))
    with pytest.raises(UsageError, match="has version 9, this program reads 1"):
        LabelStore(folder)


class Crowd:
    """Threads that give each other what they have, as processes do over a network."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count)
        self._given: list[Any] = [None] * count

    def gather(self, number: int, value: Any) -> list[Any]:
        self._given[number] = value
        self._barrier.wait(timeout=30)
        given = list(self._given)
        self._barrier.wait(timeout=30)
        return given


def written_by(count: int, folder: Path, answers: Callable[[Wanted], Iterator[Tensor]], batch_size: int) -> list[Any]:
    """Let `count` threads write the labels together; return what each has done, or the mistake that it met."""
    crowd = Crowd(count)

    def write(number: int) -> Any:
        heard: list[int] = []
        try:
            manifest = write_labels(
                folder,
                WANTED,
                answers,
                batch_size=batch_size,
                done=heard.append,
                part=(number, count),
                gather=partial(crowd.gather, number),
            )
        except UsageError as error:
            return error
        return manifest, sum(heard)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(write, range(count)))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_those_who_write_together_write_what_one_writes(folder: Path, tmp_path: Path, count: int) -> None:
    """Files of 10, 10 and 5 rows in batches of 4: three, three and two to be shared."""
    asked = Asked()
    ends = written_by(count, tmp_path / "l", asked, batch_size=4)
    assert sorted(asked.rows) == [(view, row) for view in (1, 2) for row in range(SAMPLES)]
    assert all(manifest == ends[0][0] for manifest, _ in ends)
    assert ends[0][1] == 2 * SAMPLES
    for path in folder.iterdir():
        assert (tmp_path / "l" / path.name).read_bytes() == path.read_bytes()


def test_what_one_of_them_finds_all_say(tmp_path: Path, folder: Path) -> None:
    def spoilt(wanted: Wanted) -> Iterator[Tensor]:
        return (torch.where((rows == 5)[:, None], torch.nan, said(view, rows)) for view, rows in wanted)

    ends = written_by(3, tmp_path / "l", spoilt, batch_size=4)
    assert {str(end) for end in ends} == {"labels: view 1, samples 4 to 7: logits of row 1 are not finite"}
    (folder / "manifest.json").write_text("{]")
    ends = written_by(2, folder, all_said, batch_size=4)
    assert len(ends) == 2
    assert all("manifest.json cannot be read" in str(end) for end in ends)


_MILLION = """
import resource, sys, torch
from pathlib import Path
from preceptor.labels import Encoding, LabelsOf, LabelStore, Manifest, write_labels

rows, classes, folder = int(sys.argv[1]), 1000, Path(sys.argv[2])
pool = torch.randn(256, classes, generator=torch.Generator().manual_seed(0))

def said(wanted):
    return (torch.roll(pool, int(index[0]) // 256 % classes, 1)[: len(index)] for _, index in wanted)

of = LabelsOf(("t",), "d", rows, "crop_flip", 0, Encoding(classes, "float16", 16), "fp32")
write_labels(folder, Manifest(of, {}, 1, 65536), said)
store = LabelStore(folder)
for start in range(0, rows, 8192):
    index = (torch.arange(128) * 7919 + start) % rows
    logits = store.logits(1, index)
    for place in (0, 127):
        row = int(index[place])
        exact = torch.roll(pool, row // 256 % classes, 1)[row % 256]
        assert logits[place].topk(16).indices.tolist() == exact.topk(16).indices.tolist(), row
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_million_rows_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    peaks = []
    for rows in (70_000, 1_000_000):
        done = subprocess.run(
            [sys.executable, "-c", _MILLION, str(rows), str(tmp_path / str(rows))],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    size = sum(path.stat().st_size for path in (tmp_path / "1000000").glob("*.npy"))
    assert size == pytest.approx(1_000_000 * 68, rel=0.001)
    # mapped pages of the files that were read count as resident; nothing else may grow with the number of rows
    assert peaks[1] - peaks[0] < size / 2**20 + 16, peaks
