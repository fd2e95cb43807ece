from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preceptor.data import load
from preceptor.data.sources.walk import IMAGE_SUFFIXES, files_left_out, image_files, walk

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS).save(folder / name, format="PNG")
    return folder


def test_linked_folders_are_read_and_links_upwards_are_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "deep/1.png", "2.png")
    root = fill(tmp_path / "root", "a.png")
    (root / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "link" / "deep" / "up").symlink_to(root, target_is_directory=True)
    found = walk(root)
    assert [str(file.relative_to(root)) for file in found.files] == ["a.png", "link/2.png", "link/deep/1.png"]
    assert files_left_out("folder", root, [found]) == (
        f"folder: left out of {root}: 1 a link to a folder above (link/deep/up)",
    )


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "a/.thumbs/1.png", "a/.thumbs/2.png", "a/._1.png", "a/__MACOSX/1.png")
    (tmp_path / "a" / "notes.txt").touch()
    assert image_files(tmp_path) == [tmp_path / "a" / "1.png"]
    assert files_left_out("folder", tmp_path, [walk(tmp_path / "a")]) == (
        f"folder: left out of {tmp_path}: 4 hidden (a/._1.png, a/.thumbs/1.png, a/.thumbs/2.png, ...); "
        "1 no image by the suffix (a/notes.txt)",
    )
    assert files_left_out("folder", tmp_path, [walk(fill(tmp_path / "b", "1.png"))]) == ()


def test_every_format_that_pillow_writes_and_reads_is_an_image(tmp_path: Path) -> None:
    Image.init()
    both = {
        suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN and kind in Image.SAVE
    }
    stubs = {".bufr", ".eps", ".ps", ".grib", ".h5", ".hdf", ".wmf", ".emf", ".avifs"}
    assert both - stubs <= IMAGE_SUFFIXES
    assert {".jfif", ".jpe", ".jp2", ".JPG".lower()} <= IMAGE_SUFFIXES


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".tga", ".jp2", ".dib", ".pnm"])
def test_a_class_of_another_suffix_is_read(tmp_path: Path, suffix: str) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(5):
            Image.fromarray(PIXELS).save(tmp_path / label / f"{number}{suffix}")
    data = load(f"folder:{tmp_path}", validation=0)
    assert len(data.train) + len(data.test) == 10
