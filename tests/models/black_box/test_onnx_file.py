"""ONNX files: what is read of them, and which files beside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.external_data_helper import convert_model_to_external_data

from onnx_files import linear_model, write_linear
from preceptor.checksums import sha256_of
from preceptor.errors import UsageError
from preceptor.models import read_onnx, start_session

WEIGHT = np.arange(6.0).reshape(3, 2)
CPU = torch.device("cpu")


def outputs(path: Path) -> Any:
    session = start_session(read_onnx(path, path), CPU)
    return session.run(None, {"x": np.ones((1, 3), np.float32)})[0].tolist()


def test_a_file_of_another_program(tmp_path: Path) -> None:
    path = write_linear(tmp_path / "a.onnx", WEIGHT, ["n", 3])
    file = read_onnx(path, path)
    assert (file.metadata, file.beside, file.bytes) == (None, (), path.stat().st_size)
    assert file.sha256 == sha256_of(path.read_bytes())
    assert outputs(path) == [[6.0, 9.0]]


def with_weights_beside(folder: Path, location: str) -> Path:
    """Write a file whose weight is in another one, with this name in it."""
    folder.mkdir(exist_ok=True)
    model = linear_model(WEIGHT, ["n", 3])
    convert_model_to_external_data(model, location="w.bin", size_threshold=0)
    onnx.save(model, folder / "a.onnx")
    model = onnx.load(folder / "a.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    return folder / "a.onnx"


def test_weights_beside_it_count(tmp_path: Path) -> None:
    path = with_weights_beside(tmp_path / "m", "w.bin")
    file = read_onnx(path, path)
    weights = tmp_path / "m" / "w.bin"
    assert file.beside == (weights,)
    assert file.bytes == path.stat().st_size + weights.stat().st_size
    assert outputs(path) == [[6.0, 9.0]]
    weights.write_bytes(weights.read_bytes()[::-1])
    assert read_onnx(path, path).sha256 != file.sha256


@pytest.mark.parametrize(
    "location", ["../w.bin", "{folder}/w.bin", "sub/../../w.bin", "link.bin", "", "*/_ORT_MEM_ADDR_/*"]
)
def test_weights_elsewhere_are_not_read(location: str, tmp_path: Path) -> None:
    path = with_weights_beside(tmp_path / "m", location.format(folder=tmp_path / "m"))
    (tmp_path / "w.bin").write_bytes((tmp_path / "m" / "w.bin").read_bytes())
    (tmp_path / "m" / "link.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(
        UsageError, match=r"a\.onnx: its weights are in '[^\n]*', (outside its folder|and there is no such)"
    ):
        read_onnx(path, path)


def test_weights_in_a_subgraph_are_found(tmp_path: Path) -> None:
    model = linear_model(WEIGHT, ["n", 3])
    hidden = linear_model(WEIGHT, ["n", 3]).graph
    hidden.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    hidden.initializer[0].external_data.add(key="location", value="/etc/hostname")
    model.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH, g=hidden)
    with pytest.raises(UsageError, match="its weights are in '/etc/hostname', outside its folder"):
        read_onnx(model.SerializeToString(), tmp_path / "a.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_extra_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_linear(tmp_path / "a.onnx", WEIGHT, ["n", 3])
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UsageError, match=rf"^a\.onnx needs {package}, which is not installed: pip install preceptor\[export\]$"
    ):
        start_session(read_onnx(path, path), CPU)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\xff" * 50)
    with pytest.raises(UsageError, match=r"a\.onnx: cannot be read, it is damaged or no ONNX file"):
        read_onnx(tmp_path / "a.onnx", tmp_path / "a.onnx")
    with pytest.raises(UsageError, match=r"b\.onnx: no such file"):
        read_onnx(tmp_path / "b.onnx", tmp_path / "b.onnx")
    with pytest.raises(UsageError, match=r"a\.onnx: cannot be read"):  # nothing in it
        start_session(read_onnx(b"", tmp_path / "a.onnx"), CPU)
