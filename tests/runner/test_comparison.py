"""The teacher on test beside its student, and latencies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor.artifacts.class_files import read_classes, read_confusion
from preceptor.artifacts.record import TeacherResult
from preceptor.artifacts.run_folder import RunFolder
from preceptor.data import load
from preceptor.runner.comparison import is_reported, latency
from small_training import ENGINE

DATA = {"name": "digits", "limit": 200, "test_limit": 50}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    out = tmp_path_factory.mktemp("runs") / "t"
    return preceptor.teach(data=DATA, model="convnet_s", epochs=2, engine="plain", out=out, progress=False)


def beside(teacher: str | list[str], out: Path) -> tuple[preceptor.Result, TeacherResult]:
    made = preceptor.distill(data=DATA, teacher=teacher, model="mlp", epochs=1, engine="plain", out=out, progress=False)
    assert made.record.teacher is not None
    return made, made.record.teacher


def test_a_teacher_is_measured_on_the_students_test_samples(teacher: preceptor.Result, tmp_path: Path) -> None:
    made, found = beside(str(teacher.path), tmp_path / "s")
    assert found.test == teacher.record.test  # of its own run, on the same samples
    assert found.name == str(teacher.path)
    assert found.parameters == teacher.record.parameters
    assert found.fidelity is not None
    assert found.outcomes is not None
    both = found.outcomes["both_right"]
    assert (both + found.outcomes["own_right"]) / 50 == pytest.approx(made.metrics.accuracy)
    assert (both + found.outcomes["reference_right"]) / 50 == pytest.approx(found.test["accuracy"])
    agree = preceptor.assess(made, data=load("digits", limit=200, test_limit=50), against=teacher, progress=False)[0]
    assert agree.fidelity is not None
    assert found.fidelity["kl"] == pytest.approx(agree.fidelity.kl, rel=1e-5)
    folder = RunFolder(made.path)
    classes = read_classes(folder.classes)
    assert [name for name, _ in classes] == [*made.record.class_names]
    assert sum(score.right for _, score in classes) / 50 == pytest.approx(made.metrics.accuracy)
    right = sum(count for name, predicted, count in read_confusion(folder.confusion) if name == predicted)
    assert right / 50 == pytest.approx(made.metrics.accuracy)
    assert made.record.bytes == folder.weights.stat().st_size


def test_of_several_teachers_the_mean_distribution_is_measured(teacher: preceptor.Result, tmp_path: Path) -> None:
    _, found = beside([str(teacher.path), str(teacher.path)], tmp_path / "s")
    assert found.parameters == 2 * teacher.record.parameters
    assert found.test["accuracy"] == teacher.record.test["accuracy"]
    assert found.test["nll"] == pytest.approx(teacher.record.test["nll"], rel=1e-5)


class Counted(nn.Module):
    """Remembers how many rows each call had."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.rows.append(len(inputs))
        assert not torch.is_grad_enabled()
        return inputs.flatten(1)


def test_latency_is_of_one_and_of_64_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    data, network = load("digits", limit=40, test_limit=20), Counted()
    assert latency([network], data, ENGINE) is None  # in tests nothing is timed unless a test asks for it
    monkeypatch.setenv("PRECEPTOR_REPORT", "1")
    assert is_reported()
    found = latency([network], data, ENGINE)
    assert found is not None
    assert [*found] == [1, 64]
    assert all(0 < seconds < 1 for seconds in found.values())
    assert 2 <= network.rows.count(64) <= 11
    assert {*network.rows} == {1, 64}
