"""Label stores that are read: in any order, incomplete, damaged, at ImageNet's size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.labels import LabelStore, write_labels
from records import change_json
from small_store import WANTED, logits, predict
from started import run


def test_rows_come_back_in_any_order_and_across_files(folder: Path) -> None:
    store = LabelStore(folder)
    assert store.views == 2
    rows = torch.tensor([24, 0, 9, 10, 10, 19, 20])
    for view in (1, 2):
        assert store.logits(view, rows).equal(logits(view, rows))


def test_open_files_are_those_of_one_view(tmp_path: Path) -> None:
    write_labels(tmp_path / "l", replace(WANTED, views=60), predict)
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


def test_an_incomplete_store_is_refused(folder: Path) -> None:
    shards = json.loads((folder / "manifest.json").read_text())["shards"]
    del shards["view0002-00001.npy"]
    change_json(folder / "manifest.json", shards=shards)
    with pytest.raises(UsageError, match=r"1 files are missing \(view0002-00001.npy\); the same `preceptor label`"):
        LabelStore(folder)


def test_damage_is_found_where_the_file_is_read(folder: Path) -> None:
    (folder / "view0001-00001.npy").write_bytes(b"")
    (folder / "view0002-00000.npy").unlink()
    store = LabelStore(folder)
    assert store.logits(1, torch.tensor([3])).equal(logits(1, torch.tensor([3])))
    with pytest.raises(UsageError, match=r"view0001-00001.npy is damaged \(its sha256 differs\)"):
        store.logits(1, torch.tensor([12]))
    with pytest.raises(UsageError, match=r"view0002-00000.npy is missing"):
        store.logits(2, torch.tensor([0]))


_MANY = """
import resource, sys, torch
from pathlib import Path
from preceptor.labels import Encoding, LabelSource, LabelStore, Manifest, write_labels

rows, classes, folder = int(sys.argv[1]), 1000, Path(sys.argv[2])
pool = torch.randn(256, classes, generator=torch.Generator().manual_seed(0))

def predict(requests):
    return (torch.roll(pool, int(index[0]) // 256 % classes, 1)[: len(index)] for _, index in requests)

source = LabelSource(("t",), "d", rows, "crop_flip", 0, Encoding(classes, "float16", 16), "fp32")
write_labels(folder, Manifest(source, {}, 1, 65536), predict)
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


def test_many_rows_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    script, peaks = tmp_path / "many.py", []
    script.write_text(_MANY)
    for rows in (70_000, 140_000):
        done = run([str(script), str(rows), str(tmp_path / str(rows))], check=True)
        peaks.append(int(done.stdout))
    size = sum(path.stat().st_size for path in (tmp_path / "140000").glob("*.npy"))
    assert size == pytest.approx(140_000 * 68, rel=0.001)
    # mapped pages of the files that were read count as resident; nothing else may grow with the number of rows
    assert peaks[1] - peaks[0] < size / 2**20 + 12, peaks
