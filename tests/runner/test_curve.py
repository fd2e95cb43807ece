"""Students of a teacher's kept epochs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import preceptor
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.load import load_run_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.cli import main

DATA: dict[str, Any] = {"name": "ambiguous_digits", "samples": 300, "test_samples": 200}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "t"
    preceptor.teach(data=DATA, model="convnet_s", epochs=4, keep_every=2, out=out, progress=False)
    return out


def test_each_kept_epoch_has_its_student_and_both_are_measured(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "curve"
    words = ["curve", str(teacher), "model=convnet_s", "method=kd", "epochs=2", f"out={out}"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    points = json.loads((out / "curve.json").read_text())["points"]
    assert [point["epoch"] for point in points] == [2, 4]
    for point in points:
        run = RunFolder(out / f"epoch_{point['epoch']:04d}")
        record = run.read_record()
        assert point["student_test"] == record.test
        assert run.read_config()["teacher"]["epoch"] == point["epoch"]
        kept = load_run_network(RunFolder(teacher), RunFolder(teacher).kept_epochs()[point["epoch"]])
        assert record.teacher_fingerprint == fingerprint(kept)
        assert f"{100 * point['student_test']['accuracy']:.2f}" in printed
        assert "truth_mse" in point["teacher_test"]
    assert points[0]["teacher"] != points[1]["teacher"]
    page = (out / "curve.html").read_text()
    assert page.count("<svg") == 3
    assert "epoch_0002/result.json" in page
    before = (out / "epoch_0002" / "result.json").stat().st_mtime_ns
    assert main(words) == 0  # what is finished is kept
    assert (out / "epoch_0002" / "result.json").stat().st_mtime_ns == before


def test_a_kept_epoch_that_is_lost_is_told(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(teacher, tmp_path / "t")
    (copy / "checkpoint" / "epoch_0002.safetensors").unlink()
    words = ["curve", str(copy), "model=convnet_s", "method=kd", "epochs=1", f"out={tmp_path / 'curve'}"]
    assert main(words) == 0
    assert "kept checkpoint/epoch_0002.safetensors too, and it is missing" in " ".join(capsys.readouterr().err.split())
    assert [point["epoch"] for point in json.loads((tmp_path / "curve" / "curve.json").read_text())["points"]] == [4]


def test_the_last_kept_epoch_is_the_run_itself(teacher: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {"data": DATA, "model": "convnet_s", "epochs": 2, "progress": False}
    one = preceptor.distill(**common, teacher=teacher, out=tmp_path / "one")
    two = preceptor.distill(**common, teacher={"path": str(teacher), "epoch": 4}, out=tmp_path / "two")
    other = preceptor.distill(**common, teacher={"path": str(teacher), "epoch": 2}, out=tmp_path / "other")
    assert one.record.test == two.record.test
    assert other.record.test != one.record.test


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{teacher}", "model=convnet_s"], "error: out: a curve needs a folder for its students"),
        (["/nowhere", "model=convnet_s", "out={out}"], "error: /nowhere: no such run folder"),
        (["model=convnet_s"], "error: model=convnet_s: the first word is the teacher's run folder"),
        (["{bare}", "model=convnet_s", "out={out}"], "kept no epochs; teach with keep_every=N"),
    ],
)
def test_what_has_no_curve(
    teacher: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    if "{bare}" in words:
        preceptor.teach(data=DATA, model="convnet_s", epochs=1, out=bare, progress=False)
    filled = [word.format(teacher=teacher, out=tmp_path / "out", bare=bare) for word in words]
    assert main(["curve", *filled]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_an_epoch_that_was_not_kept_is_named(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data=ambiguous_digits", "data.samples=300", "model=convnet_s", f"out={tmp_path / 'x'}"]
    assert main(["distill", *words, f"teacher={teacher}", "teacher.epoch=3"]) == 2
    assert "teacher.epoch: " in (err := capsys.readouterr().err)
    assert "has kept epochs 2, 4, not 3; teach with keep_every=N" in err
    assert main(["distill", *words, f"teacher={teacher}/model.safetensors", "teacher.epoch=2"]) == 2
    assert "teacher.epoch: need one run folder as teacher" in capsys.readouterr().err
