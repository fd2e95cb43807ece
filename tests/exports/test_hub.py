"""A folder for the Hub belongs to one network; nothing else in it or outside it is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import preceptor
from preceptor.checksums import SEAL, json_with_checksum
from preceptor.cli import main

DATA: dict[str, Any] = {"name": "digits", "limit": 200, "test_limit": 80}
HUB = {"README.md", "preceptor.json", "model.safetensors"}


def card(hub: Path) -> str:
    return (hub / "README.md").read_text()


def names(hub: Path) -> set[str]:
    return {path.name for path in hub.iterdir()}


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_what_export_did_not_write_is_never_touched(
    overwrite: list[str], two_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("my own words")
    (mine / "config.json").write_text('{"model_type": "bert"}')
    words = [
        "export",
        str(two_runs / "a"),
        "--to",
        str(tmp_path / "x.onnx"),
        "--hub-folder",
        str(mine),
        "--license",
        "unknown",
        *overwrite,
    ]
    assert main(words) == 2
    assert "mine is not empty and was not written by export (README.md, ...); choose" in capsys.readouterr().err
    assert (mine / "README.md").read_text() == "my own words"
    assert not (tmp_path / "x.onnx").exists()


def test_a_fresh_clone_counts_as_empty(two_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    preceptor.export(two_runs / "a", hub_folder=tmp_path / "clone", license="unknown")
    assert names(tmp_path / "clone") == {*HUB, ".git"}


def test_more_formats_of_the_same_network_are_added(two_runs: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    pixels: dict[str, Any] = {"output": "probabilities", "normalise": "inside"}
    preceptor.export(two_runs / "a", tmp_path / "s.onnx", hub_folder=hub, license="mit", **pixels)
    preceptor.export(two_runs / "a", hub / "s.pt2", hub_folder=hub)  # its license is known there
    preceptor.export(two_runs / "a", hub / "again.safetensors", hub_folder=hub)
    assert names(hub) == {*HUB, "s.onnx", "s.pt2", "again.safetensors"}
    text = card(hub)
    assert "license: mit" in text
    normalised = "float32 [batch, 1, 8, 8], normalised: (pixels / 255 - "
    assert "| `s.onnx` | uint8 [batch, 1, 8, 8]: pixels 0..255 | probabilities [batch, 10] |" in text
    for name in ("model.safetensors", "again.safetensors", "s.pt2"):
        assert f"| `{name}` | {normalised}" in text
    (hub / "s.onnx").unlink()  # what is gone is not described
    preceptor.export(two_runs / "a", hub_folder=hub)
    assert "s.onnx" not in card(hub)


def test_another_network_is_refused_or_takes_all_of_the_folder(two_runs: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    preceptor.export(two_runs / "a", tmp_path / "a.onnx", int8=True, hub_folder=hub, license="unknown")
    (hub / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in hub.iterdir()}
    with pytest.raises(preceptor.UsageError, match=r"hub holds another network \(\w+, this one is \w+\); choose"):
        preceptor.export(two_runs / "b", tmp_path / "b.onnx", hub_folder=hub, license="unknown")
    assert {path.name: path.read_bytes() for path in hub.iterdir()} == before
    assert not (tmp_path / "b.onnx").exists()
    preceptor.export(two_runs / "b", hub / "b.onnx", hub_folder=hub, license="unknown", overwrite=True)
    assert names(hub) == {*HUB, "b.onnx", "notes.txt"}
    assert "license: unknown" in card(hub)
    assert "a.onnx" not in card(hub)


def test_nothing_outside_the_folder_is_deleted(two_runs: Path, tmp_path: Path) -> None:
    hub, other = tmp_path / "hub", tmp_path / "other.txt"
    preceptor.export(two_runs / "a", hub_folder=hub, license="unknown")
    other.write_text("mine")
    stated = json.loads((hub / "preceptor.json").read_text())
    del stated[SEAL]
    stated["files"].append({"name": "../other.txt"})
    stated["library_files"] += ["../other.txt", "notes.txt"]
    (hub / "notes.txt").write_text("mine")
    (hub / "preceptor.json").write_text(json_with_checksum(json.dumps(stated, indent=1)))
    preceptor.export(two_runs / "b", hub_folder=hub, license="unknown", overwrite=True)
    assert other.exists()
    assert (hub / "notes.txt").exists()


def test_a_changed_description_is_refused(two_runs: Path, tmp_path: Path) -> None:
    preceptor.export(two_runs / "a", hub_folder=tmp_path, license="mit")
    text = (tmp_path / "preceptor.json").read_text()
    (tmp_path / "preceptor.json").write_text(text.replace('"license": "mit"', '"license": "cc0-1.0"'))
    with pytest.raises(preceptor.UsageError, match=r"preceptor\.json: is damaged, or was changed since it was written"):
        preceptor.export(two_runs / "a", hub_folder=tmp_path)


@pytest.mark.parametrize("left", [set(), {"model.safetensors"}])
def test_an_interrupted_export_is_completed(left: set[str], two_runs: Path, tmp_path: Path) -> None:
    preceptor.export(two_runs / "a", hub_folder=tmp_path, license="mit")
    for name in HUB - left - {"preceptor.json"}:  # which is written first
        (tmp_path / name).unlink()
    preceptor.export(two_runs / "a", hub_folder=tmp_path)
    assert names(tmp_path) == HUB
    assert "license: mit" in card(tmp_path)
