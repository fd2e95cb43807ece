from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import preceptor
from preceptor.data import Data, load
from preceptor.data.images.lazy import LazyImages
from preceptor.errors import UsageError

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


def table_of(rows: range, *, name: str = "label", sizes: int = 1) -> Any:
    table = load_digits()
    kinds = {"image": datasets.Image(), name: datasets.ClassLabel(names=[f"digit {k}" for k in range(10)])}
    images = [
        Image.fromarray((table.images[row] / 16 * 255).astype(np.uint8)).resize((8 + row % sizes, 8)) for row in rows
    ]
    columns = {"image": images, name: [int(table.target[row]) for row in rows]}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "digits"
    datasets.DatasetDict({"train": table_of(range(300)), "test": table_of(range(300, 400))}).save_to_disk(str(path))
    return path


def same(one: Data, other: Data) -> bool:
    return one.fingerprint == other.fingerprint and one.class_names == other.class_names


def test_images_that_were_saved_to_disk(saved: Path) -> None:
    data = load(f"hf:{saved}", validation=0)
    table = load_digits()
    assert data.class_names == tuple(f"digit {k}" for k in range(10))
    assert data.train.labels.tolist() == table.target[:300].tolist()
    assert (len(data.train), len(data.test), data.input_shape, data.view) == (300, 100, (3, 8, 8), "crop_flip")
    expected = torch.from_numpy((table.images[:300] / 16 * 255).astype(np.uint8))
    assert data.train.inputs(torch.arange(300))[:, 1].equal(expected)
    on_demand = load(f"hf:{saved}", options={"size": 8}, validation=0)
    assert isinstance(on_demand.train, LazyImages)
    assert on_demand.train.inputs(torch.tensor([7, 2])).equal(data.train.inputs(torch.tensor([7, 2])))


def test_files_of_parquet_and_a_single_split(saved: Path, tmp_path: Path) -> None:
    files = tmp_path / "files" / "data"
    files.mkdir(parents=True)
    table_of(range(300)).to_parquet(str(files / "train-00000-of-00001.parquet"))
    table_of(range(300, 400)).to_parquet(str(files / "test-00000-of-00001.parquet"))
    assert same(load(f"hf:{tmp_path / 'files'}"), load(f"hf:{saved}"))
    table_of(range(100)).save_to_disk(str(tmp_path / "alone"))
    data = load(f"hf:{tmp_path / 'alone'}")
    assert len(data.test) == 20
    assert any("test: 20 of 100 samples, stratified, because hf:" in note for note in data.notes)


def test_columns_of_numbers_train_a_network(tmp_path: Path) -> None:
    table = load_digits()
    columns = {
        "pixels": table.data[:500].tolist(),
        "mean": table.data[:500].mean(1).tolist(),
        "note": ["x"] * 500,
        "digit": [str(label) for label in table.target[:500]],
    }
    datasets.Dataset.from_dict(columns).save_to_disk(str(tmp_path / "d"))
    section = {"name": f"hf:{tmp_path / 'd'}", "target": "digit"}
    data = load(section["name"], options={"target": "digit"})
    assert data.input_shape == (65,)
    result = preceptor.teach(data=section, model="mlp", epochs=15, out=tmp_path / "t", progress=False)
    assert result.metrics.accuracy > 0.7
    assert load(section["name"], options={"target": "digit", "features": ["mean"]}).input_shape == (1,)


def test_a_student_of_images_on_demand(saved: Path, tmp_path: Path) -> None:
    section = {"name": f"hf:{saved}", "size": 8, "centre": 1.0}
    teacher = preceptor.teach(
        data=section, model="convnet_m", epochs=2, batch_size=50, out=tmp_path / "t", progress=False
    )
    student = preceptor.distill(
        data=section, teacher=teacher, model="convnet_s", epochs=2, batch_size=50, out=tmp_path / "s", progress=False
    )
    assert preceptor.evaluate(student.path) == student.metrics


def test_without_a_test_part_validation_is_tested_on(tmp_path: Path) -> None:
    tables = {"train": table_of(range(80)), "validation": table_of(range(80, 100)), "extra": table_of(range(100, 140))}
    datasets.DatasetDict(tables).save_to_disk(str(tmp_path / "d"))
    data = load(f"hf:{tmp_path / 'd'}", validation=0.1)
    assert (len(data.train), len(data.validation), len(data.test)) == (72, 8, 20)
    assert any("tested on the split validation" in note for note in data.notes)
    data = load(f"hf:{tmp_path / 'd'}", options={"test": "extra"})
    assert (len(data.train), len(data.validation), len(data.test)) == (80, 20, 40)


def test_what_is_wrong_is_named(saved: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"test": "exam"}, r"data\.test: .* has no split 'exam'; it has train, test"),
        ({"target": "kind"}, r"data\.target: .* has no column 'kind'; it has image, label"),
        ({"image": "photo"}, r"data\.image: .* has no column 'photo'"),
        ({"image": "label"}, r"train: row 0 of column label is of type int, no image"),
        ({"size": 0}, r"data\.size: 0 is not at least 1"),
    ):
        with pytest.raises(UsageError, match=message):
            load(f"hf:{saved}", options=options)
    with pytest.raises(UsageError, match="gone: no such folder"):
        load(f"hf:{tmp_path / 'gone'}")
    with pytest.raises(UsageError, match=r"holds no data set of save_to_disk and no \.parquet"):
        load(f"hf:{tmp_path}")
    table_of(range(40), sizes=3).save_to_disk(str(tmp_path / "sizes"))
    with pytest.raises(UsageError, match=r"train: row 1 is 9x8, .*train: row 0 is 8x8; set data\.size"):
        load(f"hf:{tmp_path / 'sizes'}")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "train.parquet").write_bytes(b"none")
    with pytest.raises(UsageError, match=r"files: cannot be read"):
        load(f"hf:{tmp_path / 'files'}")
    (tmp_path / "files" / "train.parquet").unlink()
    os.mkfifo(tmp_path / "files" / "train.parquet")
    with pytest.raises(UsageError, match=r"train\.parquet: is a pipe, a socket or a device, not a file"):
        load(f"hf:{tmp_path / 'files'}")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"a": [1.0, 2.0], "b": [0, 1]}, {}, r"data\.target: .* has columns a, b; say which"),
        ({"a": ["x", "y"], "label": [0, 1]}, {}, "has no column of images or numbers beside label"),
        ({"a": [[1.0], [2.0, 3.0]], "label": [0, 1]}, {}, "column a of .* lists of several lengths"),
        ({"a": [1.0, float("nan")], "label": [0, 1]}, {}, "column a of .* has no finite number in row 1"),
        ({"a": [1.0, 2.0], "label": [0, -1]}, {}, r"1 of 2 rows have no label in column label \(-1 in row 1\)"),
    ],
)
def test_columns_that_cannot_be_used_are_named(
    tmp_path: Path, columns: dict[str, list[Any]], options: dict[str, Any], message: str
) -> None:
    datasets.Dataset.from_dict(columns).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(UsageError, match=message):
        load(f"hf:{tmp_path / 'd'}", options=options)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits of which rows 2, 5 and 7 are no images, half of one, and none."""
    path = tmp_path_factory.mktemp("broken")
    for name, rows in (("train", range(100)), ("test", range(100, 140))):
        images = table_of(rows).cast_column("image", datasets.Image(decode=False))
        content: list[Any] = [dict(row) for row in images["image"]]
        if name == "train":
            content[2] = {"bytes": b"no image", "path": None}
            content[5] = {"bytes": content[5]["bytes"][: len(content[5]["bytes"]) // 2], "path": None}
            content[7] = None
        kinds = datasets.Features({"image": datasets.Image(decode=False), "label": images.features["label"]})
        made = datasets.Dataset.from_dict({"image": content, "label": list(images["label"])}, features=kinds)
        made.cast_column("image", datasets.Image()).to_parquet(str(path / f"{name}.parquet"))
    return path


@pytest.mark.parametrize("options", [{}, {"size": 8}])
def test_unreadable_images_are_left_out_when_asked(broken: Path, options: dict[str, Any]) -> None:
    data = load(f"hf:{broken}", options={**options, "skip_unreadable": True}, validation=0)
    assert (len(data.train), len(data.test)) == (97, 40)
    assert any("3 unreadable images: " in note and note.endswith(": row 2, row 5, row 7") for note in data.notes)
    table, kept = load_digits(), [row for row in range(100) if row not in {2, 5, 7}]
    assert data.train.labels.tolist() == table.target[kept].tolist()
    expected = torch.from_numpy((table.images[kept] / 16 * 255).astype(np.uint8))
    assert data.train.inputs(torch.arange(97))[:, 1].equal(expected)


def test_unreadable_images_are_named_when_not(broken: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(f"hf:{broken}")
    said = str(caught.value)
    assert said.count("\n") == 0
    for number in (2, 5, 7):
        assert f"train: row {number}: no readable image (" in said
    assert said.endswith("; data.skip_unreadable=true leaves such out")
    data = load(f"hf:{broken}", options={"size": 8}, validation=0)
    with pytest.raises(UsageError, match=r"train: row 5: no readable image \(.*\); data\.skip_unreadable=true leaves"):
        data.train.inputs(torch.tensor([4, 5, 6]))


def test_numbers_have_no_unreadable_images(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"a": [1.0, 2.0], "label": [0, 1]}).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(UsageError, match=r"data\.skip_unreadable: .* has no column of images; data\.image=COLUMN"):
        load(f"hf:{tmp_path / 'd'}", options={"skip_unreadable": True})


def test_an_image_that_is_cut_off_in_the_test_part_is_named_at_once(broken: Path, tmp_path: Path) -> None:
    shutil.copy(broken / "train.parquet", tmp_path / "test.parquet")
    shutil.copy(broken / "test.parquet", tmp_path / "train.parquet")
    with pytest.raises(UsageError, match=r"test: row 2: no readable image .*; .*: test: row 5: .*; .*: test: row 7: "):
        load(f"hf:{tmp_path}", options={"size": 8}, validation=0)


def test_columns_are_judged_by_their_type_and_named(tmp_path: Path) -> None:
    columns = {
        "__index_level_0__": list(range(20)),
        "x": [float(row) for row in range(20)],
        "word": ["w"] * 20,
        "label": [row % 2 for row in range(20)],
    }
    datasets.Dataset.from_dict(columns).save_to_disk(str(tmp_path / "d"))
    data = load(f"hf:{tmp_path / 'd'}")
    assert data.input_shape == (1,)
    assert "hf: inputs are the columns x; left out: __index_level_0__, word" in data.notes
    datasets.Dataset.from_dict({**columns, "y": [None, *range(19)]}).save_to_disk(str(tmp_path / "gap"))
    with pytest.raises(
        UsageError, match=r"column y of .* has no finite number in row 0; leave it out by naming the others"
    ):
        load(f"hf:{tmp_path / 'gap'}")


def test_swapped_images_of_stored_data_are_other_data(tmp_path: Path) -> None:
    rows = list(range(40))
    swapped = [*rows[:10], rows[20], *rows[11:20], rows[10], *rows[21:]]  # 10 and 20 are both zeros
    table = table_of(range(40))
    images = [table[row]["image"] for row in swapped]
    table.save_to_disk(str(tmp_path / "a"))
    features = table.features
    datasets.Dataset.from_dict({"image": images, "label": table["label"][:]}, features=features).save_to_disk(
        str(tmp_path / "b")
    )
    one, other = (load(f"hf:{tmp_path / name}", options={"size": 4}) for name in "ab")
    assert one.train.labels.equal(other.train.labels)
    assert one.fingerprint != other.fingerprint
