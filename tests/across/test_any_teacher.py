"""Teachers that are no PyTorch modules, through every verb that takes a teacher."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import nn

import preceptor
from onnx_files import write_linear
from preceptor.checksums import sha256_of
from preceptor.cli import main
from preceptor.data import from_objects, load
from preceptor.errors import UsageError
from preceptor.labels import LabelStore
from preceptor.models import save_weights

DATA: dict[str, Any] = {"name": "digits", "limit": 300, "test_limit": 80, "view": "none"}
WORDS = [f"data.{key}={value}" if key != "name" else f"data={value}" for key, value in DATA.items()]
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 30, "device": "cpu", "engine": "plain", "progress": False}


def blobs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that overlap."""
    random = np.random.default_rng(seed)
    labels = np.arange(600) % 3
    return random.normal(size=(600, 6)) + 1.5 * np.eye(6)[labels], labels


def test_a_forest_teaches_an_mlp(tmp_path: Path) -> None:
    inputs, labels = blobs()
    data = from_objects((inputs, labels))
    assert data.train.numbers is not None
    rows = data.train.numbers.numpy()
    forest = RandomForestClassifier(20, min_samples_leaf=5, random_state=0).fit(inputs[rows], labels[rows])
    keys: dict[str, Any] = {**SHORT, "data": data, "teacher": forest, "model": "mlp", "epochs": 5, "batch_size": 60}
    student = preceptor.distill(**keys, method={"name": "kd", "temperature": 1.0}, out=tmp_path / "s")
    record = json.loads((tmp_path / "s" / "result.json").read_text())
    (assessed,) = preceptor.assess(forest, data=data, progress=False)
    assert assessed.name == "RandomForestClassifier (1)"
    assert record["teacher"]["test"]["accuracy"] == assessed.test.metrics.accuracy > 0.6
    assert (record["teacher"]["parameters"], record["teacher"]["bytes"]) == (0, 0)
    assert student.metrics.accuracy > 0.6
    assert record["teacher"]["fidelity"]["agreement"] > 0.75
    again = preceptor.distill(
        **keys, method={"name": "kd", "temperature": 1.0}, out=tmp_path / "s", resume=True
    )  # the same forest
    assert again.metrics == student.metrics
    other = RandomForestClassifier(20, min_samples_leaf=5, random_state=1).fit(inputs[rows], labels[rows])
    with pytest.raises(UsageError, match="teacher"):
        preceptor.distill(
            **{**keys, "teacher": other}, method={"name": "kd", "temperature": 1.0}, out=tmp_path / "s", resume=True
        )


def test_what_a_forest_says_can_be_stored(tmp_path: Path) -> None:
    inputs, labels = blobs()
    data = from_objects((inputs, labels))
    forest = RandomForestClassifier(9, random_state=0).fit(inputs, labels)
    preceptor.label(data=data, teacher=forest, out=tmp_path / "l", progress=False)
    stored = LabelStore(tmp_path / "l").logits(1, torch.arange(len(data.train))).softmax(1).numpy()
    expected = forest.predict_proba(data.train.inputs(torch.arange(len(data.train))).numpy())
    assert stored == pytest.approx(expected, abs=5e-3)
    preceptor.distill(**SHORT, data=data, labels=tmp_path / "l", teacher=forest, model="mlp", out=tmp_path / "s")


def test_several_kinds_teach_together(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    run = preceptor.distill(
        **SHORT, data=DATA, teacher=[module, lambda x: -x.flatten(1)[:, :10]], model="convnet_s", out=tmp_path / "s"
    )
    assert run.record.teacher_fingerprint is not None
    assert run.record.teacher_fingerprint.count(",") == 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exported")
    keys: dict[str, Any] = {**SHORT, "epochs": 4, "precision": "fp32"}
    preceptor.teach(data=DATA, model="convnet_s", out=folder / "t", **keys)
    preceptor.export(folder / "t", folder / "t.onnx")
    return folder


def test_an_onnx_file_teaches_as_its_run_does(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, "model=convnet_s", "epochs=1", "batch_size=30", "device=cpu", "engine=plain"]
    for name in ("t", "t.onnx"):
        assert main(["distill", *words, f"teacher={exported / name}", f"out={tmp_path / name}"]) == 0
    said = capsys.readouterr().err
    assert f"{exported / 't.onnx'}  logits only, " in said
    records = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("t", "t.onnx")]
    assert records[1]["teacher"]["test"]["nll"] == pytest.approx(records[0]["teacher"]["test"]["nll"], abs=1e-5)
    assert records[1]["test"]["nll"] == pytest.approx(records[0]["test"]["nll"], abs=1e-3)
    assert records[1]["teacher"]["bytes"] == (exported / "t.onnx").stat().st_size
    assert main(["assess", str(exported / "t.onnx"), str(exported / "t"), *WORDS]) == 0
    assert main(["evaluate", str(exported / "t.onnx"), *WORDS]) == 0
    assert main(["label", *WORDS, f"teacher={exported / 't.onnx'}", f"out={tmp_path / 'l'}"]) == 0


def test_an_onnx_file_beside_others(exported: Path, tmp_path: Path) -> None:
    save_weights(preceptor.load(exported / "t"), tmp_path / "t.safetensors")
    other = write_linear(tmp_path / "a.onnx", np.ones((64, 10)), ["n", 64])
    section: dict[str, Any] = {
        "path": [str(exported / "t"), str(other), str(tmp_path / "t.safetensors")],
        "model": "convnet_s",
        "onnx": {"scale": 255},
    }
    made = preceptor.label(data=DATA, teacher=section, out=tmp_path / "l", progress=False)
    assert len(made.manifest.source.teachers) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["teacher.model=convnet_s"],
            "teacher.model: .*t.onnx is a program, whose network needs no name; leave it out",
        ),
        (["teacher.weights_key=ema"], "teacher.weights_key: ema is for checkpoints"),
        (["teacher.onnx.scale=255"], "teacher.onnx: .*t.onnx says itself how it reads its inputs; leave it out"),
        (["method=at"], "the teacher t.onnx gives logits only, and this method needs a PyTorch module"),
        (["teacher.epoch=1"], "teacher.epoch: need one run folder as teacher"),
    ],
)
def test_keys_that_an_onnx_file_does_not_take(
    words: list[str], message: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["distill", *WORDS, "model=convnet_s", f"teacher={exported / 't.onnx'}", f"out={tmp_path / 's'}", *words]
    assert main(line) == 2
    (said,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error: ")]
    assert re.search(message, said), said


def test_a_file_of_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    weight = np.random.default_rng(0).normal(size=(64, 10))
    path = write_linear(tmp_path / "a.onnx", weight, ["n", 1, 8, 8], last="Softmax")
    words = [*WORDS, "model=convnet_s", "epochs=1", f"teacher={path}", "teacher.onnx.scale=255"]
    assert main(["distill", *words, "teacher.onnx.output=probabilities", f"out={tmp_path / 's'}"]) == 0
    assert main(["evaluate", str(path), *WORDS, "onnx.scale=255", "onnx.output=probabilities"]) == 0
    section = {"path": str(path), "onnx": {"scale": 255, "output": "probabilities"}}
    (assessed,) = preceptor.assess(section, data=DATA, progress=False)
    digits = load("digits", test_limit=80)
    pixels = digits.test.inputs(torch.arange(80)).flatten(1).double().numpy()
    right = float(((pixels @ weight).argmax(1) == digits.test.labels.numpy()).mean())
    assert assessed.test.metrics.accuracy == pytest.approx(right)
    capsys.readouterr()
    assert main(["distill", *words[:-1], f"out={tmp_path / 's2'}"]) == 0
    said = capsys.readouterr().err
    assert "its inputs are normalised as the data are; teacher.onnx.mean=[...]" in said
    assert "warning: teacher returns probabilities, and logits are expected" in said
    (tmp_path / "t.pth").touch()
    assert main(["distill", *WORDS, "model=convnet_s", f"teacher={tmp_path / 't.pth'}", *words[-1:]]) == 2
    assert "error: teacher.onnx: " in capsys.readouterr().err


def test_a_function_that_is_no_teacher_fails_with_its_own_error(tmp_path: Path) -> None:
    def broken(inputs: Any) -> Any:
        raise ConnectionError("the service is down")

    with pytest.raises(ConnectionError, match="the service is down"):
        preceptor.distill(**SHORT, data=DATA, teacher=broken, model="convnet_s", out=tmp_path / "s")


def test_predictions_become_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits = load("digits", limit=300)
    random = np.random.default_rng(0)
    logits = random.normal(size=(1797, 10)).astype(np.float32)
    assert digits.train.numbers is not None
    numbers = digits.train.numbers.numpy()
    logits[numbers, digits.train.labels.numpy()] += 5
    np.save(tmp_path / "p.npy", logits)
    words = ["label", "data=digits", "data.limit=300", f"predictions={tmp_path / 'p.npy'}", f"out={tmp_path / 'l'}"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "labelled now  300 rows" in said.out
    assert "note: predictions: a row for each of the 1,797 samples of digits; those of training are taken" in said.err
    accuracy = re.search(r"note: predictions: training accuracy ([\d.]+) % \(300 samples\)", said.err)
    assert accuracy is not None
    assert float(accuracy[1]) > 80
    store = LabelStore(tmp_path / "l")
    assert store.logits(1, torch.arange(300)).numpy() == pytest.approx(logits[numbers], abs=5e-3)
    assert store.manifest.names["sha256"] == sha256_of((tmp_path / "p.npy").read_bytes())
    assert store.manifest.source.view == "none"
    assert main(words) == 0
    assert "labelled now  0 rows" in capsys.readouterr().out
    data = {"name": "digits", "limit": 300}
    run = preceptor.distill(**SHORT, data=data, labels=tmp_path / "l", model="convnet_s", out=tmp_path / "s")
    assert run.record.teacher_fingerprint == store.manifest.source.teachers[0]
    same = preceptor.label(data="digits", predictions=logits, out=tmp_path / "l2", progress=False)
    assert same.manifest.source.samples > 300
    logits[numbers[0]] *= 2
    np.save(tmp_path / "p.npy", logits)
    assert main(words) == 2
    assert "holds other labels: teachers: " in capsys.readouterr().err


def test_rows_in_another_order_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits = load("digits")
    assert digits.train.numbers is not None
    wrong = np.zeros((1797, 10), np.float32)
    wrong[digits.train.numbers.numpy(), (digits.train.labels.numpy() + 1) % 10] = 1
    wrong[wrong.sum(1) == 0, 0] = 1
    preceptor.label(data="digits", predictions=wrong, out=tmp_path / "l")
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: predictions: 0.0 % is near chance for 10 classes" in said


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"predictions": np.zeros((5, 10))}, "the array has 5 rows, and data digits has 1,797 samples, 300 of them"),
        ({"predictions": np.zeros((300, 9))}, "the array has 9 columns, and data digits has 10 classes"),
        ({"predictions": {"path": np.zeros((300, 10)), "id": "x"}}, "predictions.id: x is a column of a file"),
        ({"predictions": {"kind": "logits"}}, "predictions.kind: logits, but there are no predictions"),
        ({"predictions": np.zeros((300, 10)), "teacher": "runs/t"}, "teacher: predictions=the array stand in for it"),
        ({"predictions": "none.npy"}, "predictions: none.npy: no such file"),
        ({}, "teacher: none given"),
    ],
)
def test_predictions_that_do_not_fit(keys: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        preceptor.label(data=DATA, out=tmp_path / "l", progress=False, **keys)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "l").exists()


def test_every_view_gets_the_same_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logits = np.random.default_rng(0).normal(size=(300, 10))
    data = {**DATA, "view": "crop_flip"}
    made = preceptor.label(data=data, predictions=logits, out=tmp_path / "l", views=2)
    assert "every view (crop_flip) of a sample gets the same prediction" in " ".join(capsys.readouterr().err.split())
    store = LabelStore(made.path)
    assert store.logits(1, torch.arange(300)).equal(store.logits(2, torch.arange(300)))
