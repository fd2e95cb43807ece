from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from preceptor.data import image_files, load
from preceptor.errors import UsageError


def write(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def fill(root: Path, classes: str = "ab", number: int = 5, shape: tuple[int, ...] = (20, 24, 3)) -> Path:
    generator = np.random.default_rng(0)
    for name in classes:
        for row in range(number):
            write(root / name / f"{row}.png", generator.integers(0, 256, shape, dtype=np.uint8))
    return root


def test_the_splits_of_a_folder_are_used(tmp_path: Path) -> None:
    for split, number in (("train", 6), ("test", 3), ("val", 2)):
        fill(tmp_path / split, number=number)
    data = load(f"folder:{tmp_path}")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [12, 4, 6]
    assert data.class_names == ("a", "b")
    with Image.open(tmp_path / "train" / "b" / "0.png") as image:
        expected = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    row = int(torch.nonzero(data.train.labels == 1)[0])
    assert torch.equal(data.train.inputs(torch.tensor([row]))[0], expected)


def test_without_a_test_folder_a_fifth_is_test_and_it_is_said(tmp_path: Path) -> None:
    data = load(f"folder:{fill(tmp_path)}")
    assert torch.bincount(data.test.labels).tolist() == [1, 1]
    assert any("test: 2 of 10 samples, stratified, because folder:" in note for note in data.notes)


def test_size_scales_the_shorter_side_and_crops_the_centre(tmp_path: Path) -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 200  # the middle square
    for name in "ab":
        for row in range(5):
            write(tmp_path / name / f"{row}.png", pixels)
    data = load(f"folder:{tmp_path}", options={"size": 10})
    assert data.input_shape == (3, 10, 10)
    assert data.train.inputs(torch.tensor([0]))[..., 1:-1].eq(200).all()


def test_sizes_that_differ_are_named(tmp_path: Path) -> None:
    fill(tmp_path)
    write(tmp_path / "b" / "x.png", np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(UsageError, match=r"x\.png is 9x8, .*0\.png is 24x20; set data\.size"):
        load(f"folder:{tmp_path}")
    assert load(f"folder:{tmp_path}", options={"size": 8}).input_shape == (3, 8, 8)


def test_classes_that_differ_are_named(tmp_path: Path) -> None:
    fill(tmp_path / "train", "ab")
    fill(tmp_path / "test", "ac")
    with pytest.raises(UsageError, match=r"classes of train/ and test/ differ: only in train/: b; only in test/: c"):
        load(f"folder:{tmp_path}")


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "b" / "z.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"z\.png: no readable image"):
        load(f"folder:{tmp_path}")
    content = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "b" / "z.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match=r"z\.png: no readable image"):
        load(f"folder:{tmp_path}")


def test_empty_missing_and_lonely_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone: no such folder"):
        load(f"folder:{tmp_path / 'gone'}")
    fill(tmp_path, "a")
    with pytest.raises(UsageError, match="has 1 class folder, at least 2"):
        load(f"folder:{tmp_path}")
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="b holds no images"):
        load(f"folder:{tmp_path}")
    with pytest.raises(UsageError, match="names no path; write folder:PATH"):
        load("folder:")


def test_sixteen_bits_and_sizes_below_one_are_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(UsageError, match=r"data\.size: 0 is not at least 1"):
        load(f"folder:{tmp_path}", options={"size": 0})
    write(tmp_path / "a" / "deep.png", (np.arange(480).reshape(20, 24) * 100).astype(np.uint16))
    with pytest.raises(UsageError, match=r"deep\.png: has more than 8 bits a channel"):
        load(f"folder:{tmp_path}")


def test_an_image_past_the_size_guard_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UsageError, match=r"0\.png: no readable image \(Image size \(480 pixels\)"):
        load(f"folder:{tmp_path}")


def test_files_by_their_suffix_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.JPG", "1.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [str(file.relative_to(tmp_path)) for file in image_files(tmp_path)] == ["1.png", "b/2.JPG"]
