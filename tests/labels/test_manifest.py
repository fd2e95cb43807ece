"""Manifests: the files they expect, the differences they name, older and damaged ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from preceptor.errors import UsageError
from preceptor.labels import Encoding, LabelSource, LabelStore, write_labels
from small_store import SOURCE, WANTED, predict


def test_files_are_those_the_manifest_expects(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {".lock", "manifest.json", *(name for name, _, _ in WANTED.expected())}
    assert [len(rows) for _, _, rows in WANTED.expected()] == [10, 10, 5, 10, 10, 5]
    assert (folder / "view0001-00000.npy").stat().st_size == 128 + 10 * SOURCE.encoding.bytes_per_sample


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(SOURCE, teachers=("ffff",)), r"teachers: \('a1b2',\) there, \('ffff',\) here"),
        (replace(SOURCE, data="eeee"), "data: d4d4 there, eeee here"),
        (replace(SOURCE, view="crop_flip"), "view: flip there, crop_flip here"),
        (replace(SOURCE, view_seed=8), "view_seed: 7 there, 8 here"),
        (replace(SOURCE, encoding=Encoding(6, "int8")), "dtype: float16 there, int8 here"),
        (replace(SOURCE, encoding=Encoding(6, top=2)), "top: None there, 2 here"),
        (replace(SOURCE, precision="bf16"), "precision: fp32 there, bf16 here"),
    ],
)
def test_other_labels_are_refused_with_the_difference(folder: Path, changed: LabelSource, message: str) -> None:
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(UsageError, match=f"holds other labels: {message}$"):
        write_labels(folder, replace(WANTED, source=changed), predict)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_changed_number_in_a_manifest_is_one_line(folder: Path) -> None:
    path = folder / "manifest.json"
    content = path.read_text()
    assert content.count('"view_seed": 7') == 1
    path.write_text(content.replace('"view_seed": 7', '"view_seed": 3'))
    with pytest.raises(UsageError, match=r"manifest\.json: is damaged, or was changed"):
        LabelStore(folder)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"version": 2}', "{]"])
def test_a_damaged_manifest_is_one_line(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(
        UsageError, match=r"^labels: .*json: (cannot be read|source: field required|input sho)"
    ) as caught:
        LabelStore(folder)
    assert "\n" not in str(caught.value)


def test_a_later_version_is_refused(folder: Path) -> None:
    values = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**values, "version": 9}))
    with pytest.raises(UsageError, match="version: input should be 3, got 9"):
        LabelStore(folder)
