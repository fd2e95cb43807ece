"""One preprocessing: whoever reads an image file sees what the run's test split saw."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image

import preceptor
from orientations import TURNED
from preceptor.checksums import CHECKSUM_KEY, fill_in
from preceptor.cli import main

CLASSES = ("dusk", "night", "noon")
FORMATS = ("run", "safetensors", "onnx", "pt2", "hub")


def photograph(label: int, chance: np.random.Generator) -> NDArray[np.uint8]:
    """Noise of any size with its class's brightness in the middle, and another class's in the border that is cut off."""
    height, width = (int(side) for side in chance.integers(30, 60, 2))
    centre = min(height, width) * 0.6
    rows, columns = np.mgrid[:height, :width]
    is_inside = (abs(rows - height / 2) < centre / 2) & (abs(columns - width / 2) < centre / 2)
    other = (label + int(chance.integers(1, 3))) % 3
    level = np.where(is_inside, 60 + 35 * label, 60 + 35 * other)
    noisy = level[..., None] + chance.normal(0, 60, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def photographs(root: Path, *, is_grey: bool) -> Path:
    """Colour as JPEG in all orientations, or grey as PNG."""
    chance = np.random.default_rng(7)
    for split, count in (("train", 40), ("test", 24)):
        for label, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                upright, orientation = photograph(label, chance), 1 + number % 8
                if is_grey:
                    Image.fromarray(upright[..., 0].copy()).save(root / split / name / f"{number}.png")
                    continue
                exif = Image.Exif()
                exif[ExifTags.Base.Orientation] = orientation
                stored = Image.fromarray(np.ascontiguousarray(TURNED[orientation](upright)))
                stored.save(root / split / name / f"{number}.jpg", exif=exif, quality=92)
    return root


@pytest.fixture(scope="module", params=["lazy", "in_memory", "grey"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    folder = tmp_path_factory.mktemp(request.param)
    data = {
        "name": f"folder:{photographs(folder / 'photos', is_grey=request.param == 'grey')}",
        "size": 12,
        "centre": 0.6,
        "in_memory": request.param == "in_memory",
        "view": "none",
    }
    result = preceptor.teach(
        data=data,
        model="convnet_s",
        epochs=6,
        batch_size=30,
        optim={"lr": 0.05},
        precision="fp32",
        device="cpu",
        out=folder / "run",
        progress=False,
    )
    preceptor.export(result, folder / "model.safetensors")
    preceptor.export(result, folder / "model.onnx", hub_folder=folder / "hub", license="unknown")
    preceptor.export(result, folder / "model.pt2", normalise="inside", output="probabilities")
    return result


def place(run: preceptor.Result, kind: str) -> Path:
    return run.path.parent / (kind if kind in {"run", "hub"} else f"model.{kind}")


def test_of(run: preceptor.Result) -> Path:
    return run.path.parent / "photos" / "test"


test_of.__test__ = False  # type: ignore[attr-defined]


def accuracy(model: Path, folder: Path) -> float:
    found = preceptor.predict(model, folder)
    return sum(each.classes == (Path(each.sample).parent.name,) for each in found) / len(found)


@pytest.mark.parametrize("kind", FORMATS)
def test_predict_gives_the_accuracy_of_the_record_to_the_sample(kind: str, run: preceptor.Result) -> None:
    assert accuracy(place(run, kind), test_of(run)) == run.record.test["accuracy"]
    assert run.record.test["accuracy"] > 0.4


def test_what_is_cut_off_matters_here(run: preceptor.Result) -> None:
    """Or the test above could not fail."""
    path = place(run, "safetensors").read_bytes()
    other = run.path.parent / "other.safetensors"
    length = int.from_bytes(path[:8], "little")
    header = path[8 : 8 + length].replace(b'\\"centre\\": 0.6', b'\\"centre\\": 1.0')
    assert header != path[8 : 8 + length]
    content = path[:8] + header + path[8 + length :]
    mark = f'"{CHECKSUM_KEY}":"'.encode()
    other.write_bytes(fill_in(content, content.index(mark) + len(mark)))
    assert accuracy(other, test_of(run)) < run.record.test["accuracy"] - 0.1


def test_record_and_files_and_card_hold_one_preprocessing(run: preceptor.Result) -> None:
    written = json.loads((run.path / "result.json").read_text())["preprocessing"]
    assert written == json.loads((place(run, "hub") / "preceptor.json").read_text())["preprocessing"]
    del written["mean"], written["std"]
    assert written == {
        "channels": 3,
        "size": [12, 12],
        "centre": 0.6,
        "interpolation": "bilinear",
        "bit_depth": 8,
        "exif_orientation": True,
    }
    card = (place(run, "hub") / "README.md").read_text()
    assert "until the centre 0.6 of its shorter side just covers 12x12" in card


@pytest.mark.parametrize("kind", ["run", "safetensors", "hub"])
def test_evaluate_and_assess_read_a_folder_as_the_run_did(kind: str, run: preceptor.Result) -> None:
    """Size and centre come from the network where the data do not state them."""
    data = {"name": f"folder:{test_of(run).parent}"}
    found = preceptor.evaluate(place(run, kind), data=data, device="cpu", progress=False)
    assert found.accuracy == run.record.test["accuracy"]
    (assessed,) = preceptor.assess(place(run, kind), data=data, device="cpu", progress=False)
    assert assessed.test.metrics.accuracy == run.record.test["accuracy"]
    stated = preceptor.evaluate(place(run, kind), data={**data, "size": 12, "centre": 1.0}, progress=False)
    assert stated.accuracy < found.accuracy


def test_what_is_turned_is_counted(run: preceptor.Result, capsys: pytest.CaptureFixture[str]) -> None:
    is_grey = run.path.parent.name.startswith("grey")
    preceptor.evaluate(run.path, device="cpu")
    heard = capsys.readouterr().err.replace("\n", " ")
    assert ("63 of 72 images are turned upright, as their EXIF orientation says" in heard) is not is_grey
    assert main(["predict", str(run.path), str(test_of(run))]) == 0
    heard = capsys.readouterr().err
    assert ("63 of 72 images are turned upright, as their EXIF orientation says" in heard) is not is_grey
    assert "72 of 72 images scaled and cropped from" in heard


def turned_pair(orientation: int) -> tuple[bytes, bytes]:
    """Return an image that has its light above, as it is and as one stored turned: lossless."""
    upright = np.zeros((8, 8, 3), dtype=np.uint8)
    upright[:3, :5] = (250, 120, 60)
    files = []
    for each, exif_value in ((upright, 1), (TURNED[orientation](upright), orientation)):
        exif, buffer = Image.Exif(), io.BytesIO()
        exif[ExifTags.Base.Orientation] = exif_value
        Image.fromarray(np.ascontiguousarray(each)).save(buffer, "PNG", exif=exif)
        files.append(buffer.getvalue())
    return files[0], files[1]


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["folder", "wds", "hf"])
def test_every_source_turns_images_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    seen = []
    for name, content in zip(("upright", "turned"), turned_pair(orientation), strict=True):
        data = preceptor.data.load(**source(kind, content, tmp_path / name))
        seen.append(data.train.inputs(torch.arange(2)))
        count = sum("of 10 images are turned upright" in note for note in data.notes)
        assert count == (name == "turned")
    assert seen[0].equal(seen[1])


def source(kind: str, content: bytes, place: Path) -> dict[str, Any]:
    """Return the arguments of `load` for ten copies of an image in two classes."""
    place.mkdir()
    if kind == "wds":
        with tarfile.open(place / "a.tar", "w") as opened:
            for number in range(10):
                for suffix, text in (("png", content), ("cls", str(number % 2).encode())):
                    member = tarfile.TarInfo(f"{number}.{suffix}")
                    member.size = len(text)
                    opened.addfile(member, io.BytesIO(text))
        return {"name": f"wds:{place / 'a.tar'}"}
    if kind == "hf":
        datasets = pytest.importorskip("datasets")
        images = [{"bytes": content, "path": None}] * 10
        features = datasets.Features(image=datasets.Image(), label=datasets.Value("int64"))
        rows = {"image": images, "label": [number % 2 for number in range(10)]}
        datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(place / "set"))
        return {"name": f"hf:{place / 'set'}"}
    for number in range(10):
        (place / "ab"[number % 2]).mkdir(exist_ok=True)
        (place / "ab"[number % 2] / f"{number}.png").write_bytes(content)
    return {"name": f"folder:{place}"}


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_an_image_from_python_is_turned_upright(orientation: int) -> None:
    pairs = [
        [(Image.open(io.BytesIO(content)), number % 2) for number in range(10)] for content in turned_pair(orientation)
    ]
    upright, turned = (preceptor.data.from_objects(Listed(each)).train.inputs(torch.arange(3)) for each in pairs)
    assert upright.equal(turned)


class Listed(torch.utils.data.Dataset[Any]):
    """A Dataset of a list."""

    def __init__(self, pairs: Sequence[tuple[Image.Image, int]]) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int) -> tuple[Image.Image, int]:
        return self._pairs[number]


@pytest.mark.parametrize("bits", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_refused_wherever_they_are_read(
    bits: str, run: preceptor.Result, tmp_path: Path
) -> None:
    deep = Image.fromarray(np.full((20, 20), 3000, dtype=np.uint16)).convert(bits) if bits != "I;16" else None
    deep = deep or Image.fromarray(np.full((20, 20), 3000, dtype=np.uint16))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(5):
            deep.save(tmp_path / name / f"{number}.tiff")
    (found,) = preceptor.predict(run.path, tmp_path / "a" / "0.tiff")
    assert "has more than 8 bits a channel" in str(found.problem)
    with pytest.raises(preceptor.UsageError, match="has more than 8 bits a channel"):
        preceptor.data.load(f"folder:{tmp_path}")
