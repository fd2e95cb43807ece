"""The teachers of a run after what the recipe asks for: their passes, their temperatures, what they bring along."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor.artifacts.load import load_run_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment import fit_temperature, grid_temperature
from preceptor.config.networks import TeacherSection
from preceptor.data import Data, load
from preceptor.errors import UsageError
from preceptor.models import Calibrated, create
from preceptor.runner.score import predict_split, score
from preceptor.runner.teachers import TeacherSet, change_teachers
from small_training import ENGINE

DATA: dict[str, Any] = {"name": "digits", "limit": 300, "test_limit": 50, "validation": 0.3}
SHORT: dict[str, Any] = {"data": DATA, "model": "convnet_s", "progress": False}


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", limit=300, test_limit=50, validation=0.3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "t"
    preceptor.teach(**SHORT, epochs=3, out=out)
    return out


@pytest.mark.parametrize("by", ["nll", "ece"])
def test_a_calibrated_teacher_has_the_temperature_of_validation(data: Data, run: Path, by: Any) -> None:
    network = load_run_network(RunFolder(run), data=data)
    changed = change_teachers(TeacherSet([network]), TeacherSection(calibrate=by), data, ENGINE, 0)
    (found,) = changed.networks
    assert isinstance(found, Calibrated)
    logits = predict_split(network, data.validation, data, ENGINE, 256)
    fit = fit_temperature if by == "nll" else grid_temperature
    assert float(found.temperature) == pytest.approx(fit(logits, data.validation.labels), rel=1e-6)
    assert "ECE on 50 validation samples" in found.note
    assert changed.fingerprint != TeacherSet([network]).fingerprint


def test_the_students_record_holds_the_temperature_and_resume_finds_it_again(run: Path, tmp_path: Path) -> None:
    teacher = {"path": str(run), "calibrate": "nll"}
    first = preceptor.distill(**SHORT, teacher=teacher, epochs=1, out=tmp_path / "s")
    assert first.record.teacher is not None
    (temperature,) = first.record.teacher.temperatures
    assert temperature != 1
    again = preceptor.distill(**SHORT, teacher=teacher, epochs=1, out=tmp_path / "s", resume=True)
    assert again.record == first.record
    plain = preceptor.distill(**SHORT, teacher=str(run), epochs=1, out=tmp_path / "plain")
    assert plain.record.teacher is not None
    assert plain.record.teacher.temperatures == []
    assert plain.record.teacher.test["accuracy"] == first.record.teacher.test["accuracy"]
    assert plain.record.teacher.test["nll"] != first.record.teacher.test["nll"]


def test_labels_of_a_calibrated_teacher_are_calibrated(run: Path, tmp_path: Path) -> None:
    data = {**DATA, "view": "none"}
    plain = preceptor.label(data=data, teacher=str(run), out=tmp_path / "plain", progress=False)
    made = preceptor.label(
        data=data, teacher={"path": str(run), "calibrate": "nll"}, out=tmp_path / "l", progress=False
    )
    assert made.manifest.source.teachers != plain.manifest.source.teachers
    message = "teacher.calibrate: nll changes the outputs before they are stored: give it to preceptor label"
    with pytest.raises(UsageError, match=message):
        preceptor.distill(
            **SHORT, teacher={"path": str(run), "calibrate": "nll"}, labels=tmp_path / "l", epochs=1, out=tmp_path / "s"
        )


def test_the_passes_of_dropout_are_the_members(data: Data) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
    changed = change_teachers(TeacherSet([network]), TeacherSection(posterior="dropout", samples=3), data, ENGINE, 0)
    assert changed.passes == 3


def test_errors(data: Data) -> None:
    network = create("convnet_s", num_classes=10, input_shape=(1, 8, 8))
    without = load("digits", limit=50, test_limit=50, validation=0.0)
    with pytest.raises(UsageError, match=r"teacher\.calibrate: needs samples that were held out: data\.validation=0"):
        change_teachers(TeacherSet([network]), TeacherSection(calibrate="nll"), without, ENGINE, 0)
    with pytest.raises(UsageError, match=r"teacher\.posterior: goes with one state of a teacher"):
        change_teachers(TeacherSet([network], [network]), TeacherSection(posterior="laplace"), data, ENGINE, 0)
    dropping = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
    section = TeacherSection(posterior="dropout", calibrate="nll")
    with pytest.raises(UsageError, match=r"teacher\.calibrate: a pass with dropout on"):
        change_teachers(TeacherSet([dropping]), section, data, ENGINE, 0)


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("joint") / "t"
    preceptor.teach(**SHORT, objective="hsakd_teacher", epochs=1, out=out)
    return out


def test_a_hsakd_teacher_brings_its_classifiers(joint: Path, run: Path, tmp_path: Path) -> None:
    assert (joint / "objective" / "hsakd_heads.safetensors").exists()
    student = preceptor.distill(**SHORT, teacher=str(joint), method="hsakd", epochs=1, out=tmp_path / "s")
    assert not (student.path / "stages").exists()
    method = {"name": "hsakd", "stage_epochs": 1}
    other = preceptor.distill(**SHORT, teacher=str(run), method=method, epochs=1, out=tmp_path / "o")
    assert (other.path / "stages" / "hsakd").exists()


def test_damaged_classifiers_are_refused(joint: Path, tmp_path: Path) -> None:
    file = joint / "objective" / "hsakd_heads.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(
            UsageError, match=r"hsakd_heads\.safetensors: is damaged, or is not the file that the run wrote"
        ):
            preceptor.distill(**SHORT, teacher=str(joint), method="hsakd", epochs=1, out=tmp_path / "s")
    finally:
        file.write_bytes(content)


def stopped_and_resumed(train: Any, out: Path, monkeypatch: pytest.MonkeyPatch) -> preceptor.Result:
    """Return the result of a run that was stopped at the end of its second epoch, and resumed."""
    calls: list[int] = []

    def stop_in_the_second_epoch(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr("preceptor.runner.run.score", stop_in_the_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            train(out=out)
    result: preceptor.Result = train(out=out, resume=True)
    return result


@pytest.mark.parametrize(
    "objective", [{"name": "dml", "peers": ["convnet_s"]}, {"name": "sftn", "student": "convnet_s"}]
)
def test_networks_that_are_trained_along_continue_to_the_bit(
    objective: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = partial(preceptor.teach, **{**SHORT, "model": "convnet_m"}, objective=objective, seed=3, epochs=2)
    full = train(out=tmp_path / "full")
    resumed = stopped_and_resumed(train, tmp_path / "stopped", monkeypatch)
    assert_same(full.model, resumed.model)
    peers = [sorted((path / "objective").glob("*")) for path in (full.path, resumed.path)]
    assert [each.name for each in peers[0]] == (["peer1.safetensors"] if objective["name"] == "dml" else [])
    assert [each.read_bytes() for each in peers[0]] == [each.read_bytes() for each in peers[1]]
    for peer in peers[0]:  # a network like any other
        teacher = {"path": str(peer), "model": "convnet_s"}
        student = preceptor.distill(**SHORT, teacher=teacher, epochs=1, out=tmp_path / "of_peer")
        assert student.record.teacher is not None


def with_dropout() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10))


def test_a_student_of_dropout_continues_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preceptor.teach(**{**SHORT, "model": with_dropout()}, epochs=1, out=tmp_path / "t")
    teacher = {"path": str(tmp_path / "t"), "model": with_dropout(), "posterior": "dropout", "samples": 3}
    train = partial(preceptor.distill, **SHORT, teacher=teacher, method="bayesian_kd", epochs=2)
    full = train(out=tmp_path / "full")
    assert_same(full.model, stopped_and_resumed(train, tmp_path / "stopped", monkeypatch).model)


def assert_same(one: nn.Module, two: nn.Module) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(two.state_dict()[name], value), name
