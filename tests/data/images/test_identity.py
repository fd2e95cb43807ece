from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from preceptor.data import load
from preceptor.data.images import identity
from preceptor.data.images.identity import Ends, image_identity

OPTIONS = {"size": 4}


def fill(root: Path) -> Path:
    for label in "ab":
        (root / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number + 100 * ord(label)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:02}.bmp")
    return root


def test_swapped_images_of_the_same_names_and_sizes_are_other_data(tmp_path: Path) -> None:
    root = fill(tmp_path / "d")
    before = load(f"folder:{root}", options=OPTIONS).fingerprint
    one, other = root / "a" / "07.bmp", root / "a" / "08.bmp"  # neither first nor last of a split
    assert one.stat().st_size == other.stat().st_size
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert load(f"folder:{root}", options=OPTIONS).fingerprint != before


def test_a_copy_is_the_same_data(tmp_path: Path) -> None:
    root = fill(tmp_path / "d")
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    first, second = (load(f"folder:{path}", options=OPTIONS) for path in (root, tmp_path / "copy"))
    assert first.fingerprint == second.fingerprint


def ends_of_nothing(number: int, count: int) -> Ends:
    return b"", b"", 0


def test_of_many_images_a_few_are_read_and_the_length_of_all_counts(monkeypatch: object) -> None:
    asked: list[tuple[int, int]] = []
    lengths = torch.arange(10_000).tolist()

    def ends(number: int, count: int) -> Ends:
        asked.append((number, count))
        return b"x"[:count], b"y"[:count], lengths[number]

    one = image_identity(torch.arange(10_000), None, ends)
    assert len(asked) == 10_000
    assert sum(count > 0 for _, count in asked) == identity._MOST_READ
    assert image_identity(torch.arange(10_000), None, ends, np.array(lengths)) == one
    names = np.array([f"{number}" for number in range(70_000)], dtype="S")
    rows = torch.arange(70_000).flip(0)
    joined = b"\n".join(names[::-1].tolist())
    assert image_identity(rows, names, ends_of_nothing, np.zeros(70_000)).startswith(joined)
    lengths[4321] += 1
    assert image_identity(torch.arange(10_000), None, ends) != one
