"""Files as trees of plain values and arrays, and back: what a structured damage changes."""

from __future__ import annotations

import csv
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

__all__ = ["FORMATS", "IS_TEXT", "read", "write"]

_METADATA = "preceptor"  # name of what our exported files say of themselves
_PNG_SIZE = slice(16, 24)  # width and height in a PNG's first chunk


def read(kind: str, path: Path) -> Any:
    """Return the tree of a file."""
    return FORMATS[kind][0](path)


def write(kind: str, path: Path, tree: Any) -> None:
    """Write a tree as a file.

    Raises:
        Exception: any, where the format cannot hold such a tree.
    """
    FORMATS[kind][1](path, tree)


def _write_json(path: Path, tree: Any) -> None:
    path.write_text(json.dumps(tree, indent=1))


def _write_yaml(path: Path, tree: Any) -> None:
    path.write_text(yaml.safe_dump(tree))


def _write_pickle(path: Path, tree: Any) -> None:
    path.write_bytes(pickle.dumps(tree, 2))


def _read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write_lines(path: Path, tree: Any) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in tree))


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as opened:
        notes = opened.metadata() or {}
    return {"metadata": {key: _parsed(value) for key, value in notes.items()}, "tensors": load_file(path)}


def _write_safetensors(path: Path, tree: Any) -> None:
    notes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in tree["metadata"].items()}
    save_file(tree["tensors"], path, notes)


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def _write_npz(path: Path, tree: Any) -> None:
    with path.open("wb") as handle:
        np.savez(handle, **tree)


def _read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="") as handle:
        return list(csv.reader(handle, delimiter=_separator(path)))


def _write_csv(path: Path, tree: Any) -> None:
    with path.open("w", newline="") as handle:
        csv.writer(handle, delimiter=_separator(path)).writerows(tree)


def _separator(path: Path) -> str:
    return "\t" if path.suffix == ".tsv" else ","


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    import pyarrow.parquet  # noqa: PLC0415  (an extra)

    return dict(pyarrow.parquet.read_table(path).to_pydict())


def _write_parquet(path: Path, tree: Any) -> None:
    import pyarrow as arrow  # noqa: PLC0415
    import pyarrow.parquet  # noqa: PLC0415

    pyarrow.parquet.write_table(arrow.table(tree), path)


def _read_tar(path: Path) -> dict[str, Any]:
    with tarfile.open(path) as shard:
        members = [(member.name, shard.extractfile(member)) for member in shard]
        return {name: _texted(opened.read()) for name, opened in members if opened is not None}


def _write_tar(path: Path, tree: Any) -> None:
    with tarfile.open(path, "w") as shard:
        for name, value in tree.items():
            content = value if isinstance(value, bytes) else str(value).encode()
            member = tarfile.TarInfo(str(name))
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))


def _texted(content: bytes) -> bytes | int:
    return int(content) if content.isdigit() else content


def _read_png(path: Path) -> dict[str, int]:
    width, height = struct.unpack(">II", path.read_bytes()[_PNG_SIZE])
    return {"width": width, "height": height}


def _write_png(path: Path, tree: Any) -> None:
    """Change an image's stated size, with a checksum that fits."""
    content = bytearray(path.read_bytes())
    content[_PNG_SIZE] = struct.pack(">II", int(tree["width"]) % 2**32, int(tree["height"]) % 2**32)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


def _read_onnx(path: Path) -> dict[str, Any]:
    import onnx  # noqa: PLC0415  (an extra)

    return {each.key: _parsed(each.value) for each in onnx.load(path).metadata_props}


def _write_onnx(path: Path, tree: Any) -> None:
    import onnx  # noqa: PLC0415

    model = onnx.load(path)
    del model.metadata_props[:]
    for key, value in tree.items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    path.write_bytes(model.SerializeToString())


def _read_pt2(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as opened:
        return {name: _parsed(opened.read(name).decode()) for name in opened.namelist() if _METADATA in Path(name).name}


def _write_pt2(path: Path, tree: Any) -> None:
    with zipfile.ZipFile(path) as opened:
        content = {name: opened.read(name) for name in opened.namelist() if _METADATA not in Path(name).name}
    content |= {str(name): json.dumps(value).encode() for name, value in tree.items()}
    with zipfile.ZipFile(path, "w") as written:
        for name, value in content.items():
            written.writestr(name, value)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


FORMATS: dict[str, tuple[Callable[[Path], Any], Callable[[Path, Any], None]]] = {
    "json": (lambda path: json.loads(path.read_text()), _write_json),
    "jsonl": (_read_lines, _write_lines),
    "yaml": (
        lambda path: yaml.safe_load(path.read_text()),
        _write_yaml,
    ),
    "safetensors": (_read_safetensors, _write_safetensors),
    "checkpoint": (
        lambda path: torch.load(path, weights_only=True),
        lambda path, tree: torch.save(tree, path),
    ),
    "npz": (_read_npz, _write_npz),
    "npy": (lambda path: {"array": np.load(path)}, lambda path, tree: np.save(path, tree["array"])),
    "csv": (_read_csv, _write_csv),
    "parquet": (_read_parquet, _write_parquet),
    "pickle": (
        lambda path: pickle.loads(path.read_bytes()),
        _write_pickle,
    ),
    "tar": (_read_tar, _write_tar),
    "png": (_read_png, _write_png),
    "onnx": (_read_onnx, _write_onnx),
    "pt2": (_read_pt2, _write_pt2),
}
IS_TEXT = {"json", "jsonl", "yaml", "csv", "text"}
