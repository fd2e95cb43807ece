"""Shards of handwritten digits, in WebDataset layout."""

from __future__ import annotations

import io
import os
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

__all__ = ["add", "aged", "image", "write_digits"]


def add(shard: tarfile.TarFile, name: str, content: bytes, **attributes: float) -> None:
    """Add a file to an open shard; attributes are those of its header."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in attributes.items():
        setattr(member, key, value)
    shard.addfile(member, io.BytesIO(content))


def image(row: int) -> bytes:
    """Return the PNG file of a digit."""
    content = io.BytesIO()
    pixels = (_digits().images[row] / 16 * 255).astype(np.uint8)
    Image.fromarray(pixels).resize((9, 10)).save(content, "png")
    return content.getvalue()


def write_digits(file: Path, rows: range, *, label: str = "cls") -> Path:
    """Write a shard of digits with their classes, and return it."""
    target = _digits().target
    with tarfile.open(file, "w") as shard:
        for row in rows:
            add(shard, f"{row:05d}.png", image(row))
            add(shard, f"{row:05d}.{label}", str(target[row]).encode())
    return file


@cache
def _digits() -> Any:
    return load_digits()


def aged(file: Path, seconds: float = 60) -> Path:
    """Make a file look as if it had not changed for some time, and return it."""
    state = file.stat()
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns - int(seconds * 1e9)))
    return file
