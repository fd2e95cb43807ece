"""What was exported is taken wherever a run folder is: as teacher, as start, to be measured and to label."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import preceptor
from preceptor import data as data_room
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.cli import main
from preceptor.errors import UsageError
from preceptor.models import ReusedClassifier

DATA: dict[str, Any] = {"name": "digits", "limit": 200, "test_limit": 80}
WORDS = ["data=digits", "data.limit=200", "data.test_limit=80"]
KINDS = ["file", "hub"]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A teacher's run, and the same teacher as it was exported."""
    folder = tmp_path_factory.mktemp("exported")
    preceptor.teach(data=DATA, model="convnet_m", epochs=3, engine="plain", out=folder / "run", progress=False)
    for name in ("t.safetensors", "t.onnx", "t.pt2"):
        preceptor.export(folder / "run", folder / name)
    preceptor.export(folder / "run", hub_folder=folder / "hub", license="unknown")
    return {"folder": folder, "run": folder / "run", "file": folder / "t.safetensors", "hub": folder / "hub"}


def distil(teacher: Any, out: Path, **more: Any) -> preceptor.Result:
    settings: dict[str, Any] = {"data": DATA, "model": "convnet_s", "epochs": 1, "progress": False, **more}
    return preceptor.distill(teacher=teacher, out=out, **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_learns_the_same_from_a_run_and_from_what_was_exported(
    kind: str, places: dict[str, Path], tmp_path: Path
) -> None:
    words = [*WORDS, "model=convnet_s", "method=at", "epochs=1"]
    for name in ("run", kind):
        assert main(["distill", *words, f"teacher={places[name]}", f"out={tmp_path / name}"]) == 0
    run, exported = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("run", kind))
    assert exported["test"] == run["test"]
    assert exported["teacher_fingerprint"] == run["teacher_fingerprint"]
    assert fingerprint(preceptor.load(tmp_path / kind)) == fingerprint(preceptor.load(tmp_path / "run"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_measured_on_data_that_are_named(
    kind: str, places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(places["run"])]) == 0
    expected = capsys.readouterr().out
    assert main(["evaluate", str(places[kind]), *WORDS]) == 0
    assert capsys.readouterr().out == expected
    assert main(["evaluate", str(places[kind])]) == 2
    assert "is no run folder that knows its data; say data=..." in capsys.readouterr().err
    run, exported = preceptor.assess(places["run"], places[kind])
    assert exported.test == run.test
    with pytest.raises(UsageError, match=r"assess: give data=\.\.\., for the first network is not a run"):
        preceptor.assess(places[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_it_labels_and_is_started_from(kind: str, places: dict[str, Path], tmp_path: Path) -> None:
    made = preceptor.label(data=DATA, teacher=places[kind], out=tmp_path / "labels", progress=False)
    again = preceptor.label(data=DATA, teacher=places["run"], out=tmp_path / "labels", progress=False)
    assert (made.num_predicted, again.num_predicted) == (len(data_room.load("digits", limit=200).train), 0)
    started = {
        name: preceptor.teach(
            data=DATA, model="convnet_m", epochs=1, start_from=places[name], out=tmp_path / name, progress=False
        )
        for name in ("run", kind)
    }
    assert started[kind].record.start_fingerprint == started["run"].record.start_fingerprint
    assert started[kind].metrics == started["run"].metrics


def test_data_of_another_size_and_normalisation_are_shown_as_its_own(places: dict[str, Path]) -> None:
    data = data_room.load("digits", limit=200, test_limit=80)
    images = data.test.inputs(torch.arange(len(data.test))).float() / 255
    small = functional.interpolate(images, (4, 4), mode="bilinear", antialias=True)
    back = functional.interpolate(small, (8, 8), mode="bilinear", antialias=True)
    pair = (small, data.test.labels)
    network, shown = preceptor.load(places["run"]), data.normalisation(back)
    with torch.no_grad():
        expected = functional.cross_entropy(network(shown), data.test.labels)
    found = preceptor.evaluate(places["file"], data={"train": pair, "test": pair}, device="cpu")
    assert found.nll == pytest.approx(float(expected), abs=1e-4)


def test_a_team_and_a_student_with_its_teachers_classifier(places: dict[str, Path], tmp_path: Path) -> None:
    distil(places["run"], tmp_path / "simkd", method="simkd")
    preceptor.export(tmp_path / "simkd", tmp_path / "simkd.safetensors")
    assert isinstance(preceptor.load(tmp_path / "simkd.safetensors"), ReusedClassifier)
    team = {"path": [str(tmp_path / "simkd.safetensors"), str(places["hub"]), str(places["run"])]}
    result = distil(team, tmp_path / "team")
    same = distil({"path": [str(tmp_path / "simkd"), str(places["run"]), str(places["hub"])]}, tmp_path / "same")
    assert result.metrics.nll == pytest.approx(same.metrics.nll, abs=1e-4)  # sums of other order


def test_a_network_from_python_is_named_beside_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "linear_networks.py").write_text(
        "from torch import nn\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    run = preceptor.teach(data=DATA, model=model, epochs=1, engine="plain", out=tmp_path / "run", progress=False)
    preceptor.export(run, tmp_path / "t.safetensors")
    with pytest.raises(UsageError, match=r"t\.safetensors: its network was passed as a Python object \(python:.*Seq"):
        distil(tmp_path / "t.safetensors", tmp_path / "no")
    section = {"path": str(tmp_path / "t.safetensors"), "model": "linear_networks:make"}
    (named,) = preceptor.assess(section, data=DATA)
    assert named.test.metrics.nll == pytest.approx(run.metrics.nll, abs=1e-6)


def test_a_folder_of_transformers_is_not_taken_for_one_of_ours(places: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    shutil.copy(places["run"] / "model.safetensors", tmp_path / "theirs")
    with pytest.raises(UsageError, match=r"is a bare weights file; .*of a folder of transformers: teacher\.model=hf:"):
        distil(tmp_path / "theirs", tmp_path / "no")
    assert distil({"path": str(tmp_path / "theirs"), "model": "convnet_m"}, tmp_path / "s").metrics.samples == 80


@pytest.mark.parametrize(
    ("name", "verb", "words"),
    [
        ("t.pt2", "distill", [*WORDS, "model=convnet_s", "teacher={file}", "out={out}"]),
        ("t.pt2", "distill", [*WORDS, "model=convnet_s", "teacher={file}", "teacher.model=convnet_m", "out={out}"]),
        ("t.pt2", "teach", [*WORDS, "model=convnet_m", "start_from={file}", "out={out}"]),
        ("t.onnx", "teach", [*WORDS, "model=convnet_m", "start_from={file}", "out={out}"]),
        ("t.pt2", "label", [*WORDS, "teacher={file}", "out={out}"]),
        ("t.pt2", "evaluate", ["{file}", *WORDS]),
        ("t.pt2", "assess", ["{file}", *WORDS]),
    ],
)
def test_programs_have_no_weights(
    name: str, verb: str, words: list[str], places: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.format(file=places["folder"] / name, out=tmp_path / "no") for word in words]
    assert main([verb, *filled]) == 2
    said = capsys.readouterr().err
    assert f"{name} is a program without named weights; give the run folder, or export it as FILE.safetensors" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_other_classes_and_tasks_are_refused(kind: str, places: dict[str, Path], tmp_path: Path) -> None:
    three = {"name": "gaussian", "samples": 60, "num_classes": 3}
    with pytest.raises(UsageError, match="has 10 classes, data gaussian has 3"):
        preceptor.evaluate(places[kind], data=three)
    with pytest.raises(UsageError, match=r"start_from: .* has 10 classes, data gaussian has 3"):
        preceptor.teach(data=three, model="mlp", start_from=places[kind], out=tmp_path / "no", progress=False)
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    with pytest.raises(UsageError, match="is of one class per sample data, and data python is multi-label"):
        preceptor.evaluate(places[kind], data=(images, torch.eye(10).repeat(2, 1).long()))
