from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import preceptor
from preceptor.data import Data, Loader, LoaderSettings, load
from preceptor.errors import UsageError
from tars import add, image, write_digits


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards")
    for number in range(20):
        write_digits(root / f"train-{number:03d}.tar", range(20 * number, 20 * number + 20))
    write_digits(root / "test-000.tar", range(400, 480))
    return root


def options(shards: Path, **more: object) -> dict[str, object]:
    return {"size": 8, "test": str(shards / "test-*.tar"), **more}


@pytest.fixture(scope="module")
def data(shards: Path) -> Data:
    return load(f"wds:{shards}/train-{{000..019}}.tar", options=options(shards), validation=0)


def test_shards_are_listed_with_their_labels(shards: Path, data: Data) -> None:
    target = torch.from_numpy(load_digits().target)
    assert data.train.labels.equal(target[:400])
    assert data.test.labels.equal(target[400:480])
    assert data.input_shape == (3, 8, 8)
    assert data.num_classes == 10
    eager = load(f"wds:{shards}/train-*.tar", options=options(shards, in_memory=True), validation=0)
    rows = torch.tensor([0, 399, 57])
    assert eager.train.inputs(rows).equal(data.train.inputs(rows))
    assert any("400 training samples in 20 shards" in note for note in data.notes)


def loader_of(data: Data, *, workers: int = 0, seed: int = 2) -> Loader:
    return Loader(
        data.train,
        LoaderSettings(
            batch_size=32,
            view="random_resized_crop_flip",
            normalisation=data.normalisation,
            seed=seed,
            device=torch.device("cpu"),
            workers=workers,
        ),
    )


def test_an_epoch_reads_a_few_shards_at_a_time_in_an_order_of_its_own(data: Data) -> None:
    orders = [loader_of(data).order(epoch) for epoch in (1, 2)]
    assert not orders[0].equal(orders[1])
    for order in orders:
        assert order.sort().values.equal(torch.arange(400))
        shards = order // 20
        groups = [set(shards[start : start + 160].tolist()) for start in (0, 160, 320)]
        assert [len(group) for group in groups] == [8, 8, 4]  # 8 shards at once, each wholly
        assert len(set(shards[:32].tolist())) > 4  # and mixed with each other
    assert set((orders[0] // 20)[:160].tolist()) != set((orders[1] // 20)[:160].tolist())


def test_any_batch_of_an_epoch_can_be_the_first_for_any_readers(data: Data) -> None:
    full = list(loader_of(data).batches(2))
    tail = list(loader_of(data, workers=2).batches(2, start=9))
    assert len(tail) == len(full) - 9
    for one, other in zip(full[9:], tail, strict=True):
        assert one.inputs.equal(other.inputs)
        assert one.index.equal(other.index)


def test_a_teacher_of_shards(shards: Path, tmp_path: Path) -> None:
    section = {"name": f"wds:{shards}/train-*.tar", **options(shards, in_memory=True)}
    result = preceptor.teach(
        data=section, model="convnet_m", epochs=12, batch_size=40, out=tmp_path / "t", progress=False
    )
    assert result.metrics.samples == 80
    assert result.metrics.accuracy > 0.3
    assert preceptor.evaluate(result.path) == result.metrics


def test_without_test_shards_a_fifth_is_split_off(shards: Path) -> None:
    data = load(f"wds:{shards}/train-*.tar", options={"size": 8})
    assert len(data.test) == 80
    assert any("test: 80 of 400 samples, stratified, because wds:" in note for note in data.notes)
    data = load(f"wds:{shards}/train-*.tar", options=options(shards, validation_shards=f"{shards}/test-000.tar"))
    assert (len(data.train), len(data.validation)) == (400, 80)


def test_what_is_wrong_with_a_shard_is_named(shards: Path, tmp_path: Path) -> None:
    def refused(message: str, **more: object) -> None:
        with pytest.raises(UsageError, match=message):
            load(f"wds:{tmp_path}/*.tar", options={"size": 8, **more})

    file = tmp_path / "a.tar"
    write_digits(file, range(20), label="json")
    refused(r"a\.tar: sample 00000 has no \.cls file")
    write_digits(file, range(20))
    refused(r"a\.tar: sample 00000 has no \.target file", target="target")
    with tarfile.open(file, "a") as shard:
        add(shard, "x.cls", b"3")
    refused(r"sample x has no image")
    with tarfile.open(file, "w") as shard:
        add(shard, "x.cls", b"cat")
        add(shard, "x.png", b"")
    refused(r"x\.cls holds 'cat', expected a whole number")
    with tarfile.open(file, "w") as shard:
        add(shard, "readme", b"")
    refused("holds no images")
    file.write_bytes(b"no shard at all" * 100)
    refused(r"a\.tar: cannot be read")
    with tarfile.open(file, "w") as shard:
        for number in range(10):
            add(shard, f"{number}.png", b"no image")
            add(shard, f"{number}.cls", str(number % 2).encode())
    refused(r"a\.tar: \d: no readable image")
    refused(r"none of 10 images can be read: .*a\.tar: 0, .*a\.tar: 1, .*a\.tar: 2, \.\.\.", skip_unreadable=True)


@pytest.mark.parametrize("in_memory", [True, False])
def test_unreadable_images_are_left_out_when_asked(in_memory: bool, shards: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_digits(tmp_path / f"{number}.tar", range(20 * number, 20 * number + 20))
        with tarfile.open(tmp_path / f"{number}.tar", "a") as shard:
            for row in range(2):
                add(shard, f"bad{row}.png", b"no image")
                add(shard, f"bad{row}.cls", b"3")
    pattern, settings = f"wds:{tmp_path}/*.tar", options(shards, in_memory=in_memory)
    full = load(f"wds:{shards}/train-{{000..001}}.tar", options=settings, validation=0)
    filtered = load(pattern, options={**settings, "skip_unreadable": True}, validation=0)
    assert filtered.train.labels.equal(full.train.labels)
    rows = torch.arange(40)
    assert filtered.train.inputs(rows).equal(full.train.inputs(rows))
    (note,) = [note for note in filtered.notes if "unreadable" in note]
    assert note.startswith(f"wds: left out of {tmp_path}/*.tar: 4 unreadable images: {tmp_path}/0.tar: bad0, ")
    assert note.endswith(f"{tmp_path}/1.tar: bad0, ...")
    with pytest.raises(
        UsageError, match=r"\d\.tar: bad\d: no readable image .*data\.skip_unreadable=true leaves such out"
    ):
        load(pattern, options=settings, validation=0).train.inputs(torch.arange(44))


def test_an_image_that_is_cut_off_in_the_test_shards_is_named_at_once(shards: Path, tmp_path: Path) -> None:
    full = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(full, "png")
    with tarfile.open(tmp_path / "test.tar", "w") as shard:
        for name, content in (("full", full.getvalue()), ("half", full.getvalue()[:900])):
            add(shard, f"{name}.png", content)
            add(shard, f"{name}.cls", b"1")
    with pytest.raises(UsageError, match=r"test\.tar: half: no readable image"):
        load(f"wds:{shards}/train-000.tar", options={"size": 8, "test": str(tmp_path / "test.tar")})


def test_shards_behind_urls_are_the_same_data(
    shards: Path, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files, place = fsspec.filesystem("memory"), f"memory://{tmp_path.name}"
    for file in shards.glob("*.tar"):
        files.pipe(f"{place}/{file.name}", file.read_bytes())
    for url in (place, f"file://{shards}"):
        for _ in range(2):  # listed, and from the indexes
            there = load(f"wds:{url}/train-*.tar", options={"size": 8, "test": f"{url}/test-*.tar"}, validation=0)
            assert there.fingerprint == data.fingerprint
        batches = loader_of(there, workers=1).batches(1, start=11)
        for one, other in zip(batches, loader_of(data).batches(1, start=11), strict=True):
            assert one.inputs.equal(other.inputs)
    files.rm(place, recursive=True)


def test_samples_without_classes_are_a_pool(shards: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        for row in range(30):
            add(shard, f"{row}.png", image(row))
            add(shard, f"{row}.json", b'{"caption": "a digit"}')
    pool = load(f"wds:{tmp_path}/a.tar", options={"size": 8, "target": None})
    assert not pool.is_labelled
    assert any("left out: 30 files that are neither an image" in note for note in pool.notes)
    assert not any("no training sample has" in note for note in pool.notes)
    keys: dict[str, Any] = {
        "data": {"name": f"wds:{shards}/train-000.tar", **options(shards)},
        "epochs": 1,
        "batch_size": 10,
    }
    teacher = preceptor.teach(**keys, model="convnet_s", out=tmp_path / "t", progress=False)
    unlabelled = {"name": f"wds:{tmp_path}/a.tar", "size": 8, "target": None}
    student = preceptor.distill(
        **keys, teacher=teacher, model="convnet_s", unlabelled=unlabelled, out=tmp_path / "s", progress=False
    )
    assert student.metrics.samples == 80
    with pytest.raises(UsageError, match=r"data: the samples of wds:.*a\.tar have no labels; they can be a pool"):
        preceptor.teach(data=unlabelled, model="convnet_s", out=tmp_path / "u", progress=False)
    with pytest.raises(UsageError, match=r"have no labels; they can be a pool beside others: unlabelled="):
        preceptor.teach(data=pool, model="convnet_s", out=tmp_path / "u", progress=False)
