from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from preceptor.data import Data, Loader, LoaderSettings, Normalisation, load
from preceptor.data.augment.views import VIEWS
from preceptor.data.dataset import fingerprint
from preceptor.data.images.images import PHOTOGRAPHS
from preceptor.data.images.lazy import LazyImages
from preceptor.errors import UsageError
from preceptor.types import View

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits scaled up to sizes that differ."""
    root = tmp_path_factory.mktemp("tree")
    table = load_digits()
    for number in range(120):
        label = int(table.target[number])
        image = Image.fromarray((table.images[number] / 16 * 255).astype(np.uint8))
        file = root / ("train" if number < 90 else "val") / str(label) / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image.resize((20 + number % 7, 24 + number % 5), Image.Resampling.NEAREST).save(file)
    return root


@pytest.fixture(scope="module")
def data(tree: Path) -> Data:
    return load(f"folder:{tree}", options={"size": 16}, validation=0)


def test_images_of_any_size_are_read_on_demand(tree: Path, data: Data) -> None:
    assert isinstance(data.train, LazyImages)
    assert data.input_shape == (3, 16, 16)
    assert data.view == "random_resized_crop_flip"
    assert data.protocol == "photographs"
    assert data.normalisation == Normalisation(*PHOTOGRAPHS)
    assert (len(data.train), len(data.test)) == (90, 30)
    assert any("so val/ is the test split" in note for note in data.notes)
    assert load(f"folder:{tree}", options={"size": 16, "in_memory": True}).view == "crop_flip"


def test_evaluation_sees_what_is_in_memory(tree: Path, data: Data) -> None:
    in_memory = load(f"folder:{tree}", options={"size": 16, "in_memory": True}, validation=0)
    rows = torch.arange(len(data.test))
    assert data.test.inputs(rows).equal(in_memory.test.inputs(rows))
    assert data.train.labels.equal(in_memory.train.labels)


def test_images_of_one_size_are_seen_as_a_batch_of_them_is(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in "ab":
        for row in range(6):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(
                tmp_path / name / f"{row}.png"
            )
    lazy = load(f"folder:{tmp_path}", options={"size": 12}, validation=0).train
    in_memory = load(f"folder:{tmp_path}", options={"size": 12, "in_memory": True}, validation=0).train
    index = torch.tensor([3, 0, 7])
    crops = lazy.read(index, View("random_resized_crop_flip", 5, 2))
    assert crops.equal(VIEWS["random_resized_crop_flip"](in_memory.inputs(index), 5, 2, index))
    assert lazy.read(index, View("random_resized_crop_flip+color_jitter", 5, 2)).equal(crops)
    assert lazy.read(index, View("flip", 5, 2)).equal(in_memory.inputs(index))  # what is not made here is raw


def loader_of(split: LazyImages, *, workers: int = 0, extra_views: tuple[str, ...] = ()) -> Loader:
    return Loader(
        split,
        LoaderSettings(
            batch_size=32,
            view="random_resized_crop_flip",
            normalisation=Normalisation(),
            seed=5,
            device=CPU,
            workers=workers,
            extra_views=extra_views,
        ),
    )


def test_readers_give_the_same_views_from_any_batch_on(data: Data) -> None:
    assert isinstance(data.train, LazyImages)
    everything = list(loader_of(data.train).batches(3))
    tail = list(loader_of(data.train, workers=2).batches(3, start=1))
    assert [len(batch.index) for batch in everything] == [32, 32, 26]
    for one, other in zip(everything[1:], tail, strict=True):
        assert one.inputs.equal(other.inputs)
        assert one.index.equal(other.index)
    (first, *_) = loader_of(data.train).batches(4)
    alone = data.train.read(first.index[:1], View("random_resized_crop_flip", 5, 4))
    assert first.inputs[0].equal(alone[0].float() / 255)


def test_extra_views_are_made_of_the_centre(data: Data) -> None:
    assert isinstance(data.train, LazyImages)
    for workers in (0, 1):
        batch = next(loader_of(data.train, extra_views=("rotated_90",), workers=workers).batches(1))
        assert batch.extra_views["rotated_90"].shape == batch.inputs.shape
        assert not batch.extra_views["rotated_90"].equal(batch.inputs)


def test_a_subset_keeps_its_images_and_its_fingerprint_tells_names(tree: Path, data: Data) -> None:
    index = torch.tensor([5, 60, 2])
    subset = data.train.take(index)
    assert subset.labels.equal(data.train.labels[index])
    assert subset.inputs(torch.arange(3)).equal(data.train.inputs(index))
    again = load(f"folder:{tree}", options={"size": 16}, validation=0)
    assert again.fingerprint == data.fingerprint
    assert fingerprint(data.train.take(torch.tensor([0, 1, 4]))) != fingerprint(
        data.train.take(torch.tensor([0, 2, 4]))
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_named_in_one_line(tmp_path: Path, workers: int) -> None:
    for split in ("train", "test"):
        for name in "ab":
            (tmp_path / split / name).mkdir(parents=True)
            for row in range(5):
                Image.new("RGB", (9, 9)).save(tmp_path / split / name / f"{row}.png")
    (tmp_path / "train" / "b" / "3.png").write_bytes(b"no image")
    images = load(f"folder:{tmp_path}", options={"size": 8}, validation=0).train
    assert isinstance(images, LazyImages)
    with pytest.raises(
        UsageError, match=r"3\.png: no readable image .*data\.skip_unreadable=true leaves such out"
    ) as caught:
        list(loader_of(images, workers=workers).batches(1))
    assert "\n" not in str(caught.value)


def test_unreadable_images_are_left_out_and_counted(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for row in range(5):
            Image.new("RGB", (9, 9)).save(tmp_path / name / f"{row}.png")
    (tmp_path / "b" / "3.png").write_bytes(b"no image")
    for options in ({"size": 8}, {"size": 8, "in_memory": True}):
        data = load(f"folder:{tmp_path}", options={**options, "skip_unreadable": True}, validation=0)
        assert len(data.train) + len(data.test) == 9
        assert any("1 unreadable image: " in note and "b/3.png" in note for note in data.notes)
    for row in range(5):
        (tmp_path / "b" / f"{row}.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match="b holds no images, 5 unreadable"):
        load(f"folder:{tmp_path}", options={"size": 8, "skip_unreadable": True})


def test_what_cannot_be_is_refused(tree: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.centre: 0\.0 is not in \(0, 1\]"):
        load(f"folder:{tree}", options={"size": 8, "centre": 0})
    with pytest.raises(UsageError, match=r"data\.in_memory: false needs data\.size"):
        load(f"folder:{tree}", options={"in_memory": False})


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_what_is_cut_off_in_val_or_test_is_found_before_anything_is_trained(
    tmp_path: Path, suffix: str, share: float
) -> None:
    generator = np.random.default_rng(0)
    for name in ("train/a", "train/b", "val/a", "val/b", "test/a", "test/b"):
        (tmp_path / name).mkdir(parents=True)
        for row in range(4):
            pixels = generator.integers(0, 255, (24, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{row}.{suffix}")
    assert len(load(f"folder:{tmp_path}", options={"size": 8}).test) == 8
    everything = {name: (tmp_path / name).read_bytes() for name in (f"val/b/1.{suffix}", f"test/a/2.{suffix}")}
    for name, content in everything.items():
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(
            UsageError, match=rf"{name}: no readable image .*; data\.skip_unreadable=true leaves such out"
        ):
            load(f"folder:{tmp_path}", options={"size": 8})
        (tmp_path / name).write_bytes(content)
    (tmp_path / f"train/a/3.{suffix}").write_bytes(b"no image")  # which training meets by itself
    load(f"folder:{tmp_path}", options={"size": 8})
