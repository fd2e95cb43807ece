"""Predictions for image files and table rows, and which files cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import preceptor
from preceptor.cli import main
from preceptor.data import load

FORMATS = ["safetensors", "onnx", "pt2", "hub", "run"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    preceptor.teach(data="digits", model="convnet_s", epochs=3, out=folder / "run", progress=False)
    for suffix in ("safetensors", "onnx"):
        preceptor.export(folder / "run", folder / f"model.{suffix}")
    preceptor.export(folder / "run", folder / "model.pt2", output="probabilities", normalise="inside")
    preceptor.export(folder / "run", hub_folder=folder / "hub", license="unknown")
    return {kind: folder / (kind if kind in {"run", "hub"} else f"model.{kind}") for kind in FORMATS}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test digits as PNG files, in order."""
    folder, test = tmp_path_factory.mktemp("images"), load("digits").test
    for number in range(len(test)):
        values = test.inputs(torch.tensor([number]))[0, 0].numpy()
        Image.fromarray(values).save(folder / f"{number:03}.png")
    return folder


@pytest.mark.parametrize("kind", FORMATS)
def test_files_give_the_accuracy_that_evaluate_gives(kind: str, models: dict[str, Path], images: Path) -> None:
    predictions = preceptor.predict(models[kind], images)
    labels = load("digits").test.labels.tolist()
    correct = [each.classes == (str(label),) for each, label in zip(predictions, labels, strict=True)]
    assert np.mean(correct) == pytest.approx(
        preceptor.evaluate(models["run"], device="cpu").accuracy, abs=2 / len(labels)
    )
    assert all(each.resized_from is None and each.problem is None for each in predictions)
    expected = preceptor.predict(models["run"], images)
    assert [each.classes for each in predictions] == [each.classes for each in expected]
    assert [each.probabilities[0] for each in predictions] == pytest.approx(
        [each.probabilities[0] for each in expected], abs=1e-5
    )


def test_the_most_likely_classes_in_order(models: dict[str, Path], images: Path) -> None:
    (one,) = preceptor.predict(models["onnx"], images / "000.png", top=99)
    assert sorted(one.classes) == [str(digit) for digit in range(10)]
    assert sum(one.probabilities) == pytest.approx(1, abs=1e-5)
    assert list(one.probabilities) == sorted(one.probabilities, reverse=True)


def test_another_size_is_scaled_and_said(
    models: dict[str, Path], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(images / "003.png") as digit:
        digit.resize((24, 16), Image.Resampling.NEAREST).save(tmp_path / "wide.png")
    assert main(["predict", str(models["onnx"]), str(tmp_path / "wide.png"), str(images / "003.png")]) == 0
    assert "1 of 2 images scaled and cropped from 24x16" in capsys.readouterr().err
    (one,) = preceptor.predict(models["onnx"], tmp_path / "wide.png")
    assert one.resized_from == (16, 24)


def test_what_cannot_be_read_is_named_and_the_rest_continues(
    models: dict[str, Path], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    words = ["predict", str(models["onnx"]), str(images / "000.png"), str(bad), "none.png", str(images / "001.png")]
    assert main([*words, "--json", "--top", "2"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {bad}: no readable image")
    assert "error: none.png: no readable image (" in said.err
    assert said.err.count("\n") == 2
    found = json.loads(said.out)
    assert [len(one["classes"]) for one in found] == [2, 0, 0, 2]
    alone = preceptor.predict(models["onnx"], images / "001.png", top=2)
    assert found[3]["classes"] == list(alone[0].classes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{tmp}/none.onnx", "x.png"], "none.onnx: no such file"),
        (["{tmp}/none.pt2", "x.png"], "none.pt2: no such file"),
        (["{tmp}/none", "x.png"], "none: no such run folder or file"),
        (["{tmp}/bad.onnx", "x.png"], "bad.onnx: cannot be read, it is damaged or no ONNX file"),
        (["{tmp}/bad.pt2", "x.png"], "bad.pt2: is damaged, or was changed since it was written"),
        (["{tmp}/bad.safetensors", "x.png"], "bad.safetensors: cannot be read, it is damaged or no safetensors file"),
        (["{tmp}/bad.txt", "x.png"], "bad.txt: is no .onnx, .pt2 or .safetensors file"),
        (["{run}/model.safetensors", "x.png"], "does not describe its network, classes and normalisation"),
        (["{run}", "{tmp}/empty"], "empty holds no images"),
        (["{run}", "x.png", "--top", "0"], "Invalid value for '--top'"),
        (["{run}"], "Missing argument 'samples'"),
    ],
)
def test_mistakes(
    words: list[str], message: str, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for suffix in ("onnx", "pt2", "safetensors", "txt"):
        (tmp_path / f"bad.{suffix}").write_bytes(b"not a model")
    assert main(["predict", *(word.format(tmp=tmp_path, run=models["run"]) for word in words)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", ".pt2", ""])
def test_rows_of_a_table_are_read_as_in_the_run(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    rows = [
        (100 * a, "red" if b > 0 else "blue", "up" if a > 0 else "down") for a, b in generator.normal(size=(120, 2))
    ]
    (tmp_path / "own.csv").write_text("a,colour,kind\n" + "".join(f"{a},{colour},{kind}\n" for a, colour, kind in rows))
    run = preceptor.teach(
        data={"name": f"table:{tmp_path / 'own.csv'}", "target": "kind"},
        model="mlp",
        epochs=20,
        batch_size=16,
        out=tmp_path / "run",
        progress=False,
    )
    model = run.path
    if suffix:
        model = tmp_path / f"student{suffix}"
        preceptor.export(run, model)
    (tmp_path / "new.csv").write_text("colour,a\nred,200\nblue,-200\npink,150\n")
    found = preceptor.predict(model, tmp_path / "new.csv")
    assert [one.classes for one in found] == [("up",), ("down",), ("up",)]
    assert found[1].sample.endswith("new.csv: row 2")
    assert "1 of 3 rows have a category of column colour that no training row has" in capsys.readouterr().err
    assert main(["predict", str(model), str(tmp_path / "new.csv")]) == 0
    (tmp_path / "short.csv").write_text("colour\nred\n")
    assert main(["predict", str(model), str(tmp_path / "short.csv")]) == 2
    assert "has no column 'a'; the network needs it" in capsys.readouterr().err
