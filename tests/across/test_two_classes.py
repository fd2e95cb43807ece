"""Two classes: networks with one output and with two, as teachers and as students, through every verb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import preceptor
from preceptor.cli import main
from preceptor.data import load, plain_batches
from preceptor.errors import UsageError
from preceptor.objectives.distill import KD
from preceptor.training import Engine, predict

SCORES = ("accuracy", "auroc", "average_precision", "f1", "balanced_accuracy")
SHORT: dict[str, Any] = {"epochs": 3, "progress": False}


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two noisy half-rings, a quarter of them positive, in an .npz."""
    generator = np.random.default_rng(0)
    labels = (generator.random(1200) < 0.25).astype(np.int64)
    angle = np.pi * generator.random(1200)
    ring = np.stack([np.cos(angle) + labels, np.where(labels == 1, 0.5 - np.sin(angle), np.sin(angle))], 1)
    path = tmp_path_factory.mktemp("points") / "rings.npz"
    np.savez(path, x=(ring + 0.15 * generator.standard_normal((1200, 2))).astype(np.float32), y=labels)
    return f"npz:{path}"


@pytest.fixture(scope="module")
def teachers(points: str, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for outputs in (1, 2):
        preceptor.teach(
            data=points,
            model={"name": "mlp", "logits": outputs},
            epochs=12,
            keep_every=6,
            out=folder / f"t{outputs}",
            progress=False,
        )
    return {outputs: folder / f"t{outputs}" for outputs in (1, 2)}


def test_a_network_with_one_output_learns_and_is_kept_as_it_is(teachers: dict[int, Path]) -> None:
    network = preceptor.load(teachers[1])
    assert network(torch.zeros(3, 2)).shape == (3, 1)
    record = json.loads((teachers[1] / "result.json").read_text())
    assert record["num_classes"] == 2
    assert record["test"]["auroc"] > 0.95
    assert record["test"]["average_precision"] > 2 * record["test"]["prevalence"]
    assert set(SCORES) <= set(record["validation"])


@pytest.mark.parametrize("of_teacher", [1, 2])
@pytest.mark.parametrize("of_student", [1, 2])
@pytest.mark.parametrize("method", ["kd", "dkd", "dist", "rkd"])
def test_one_and_two_outputs_mix(
    points: str, teachers: dict[int, Path], tmp_path: Path, method: str, of_student: int, of_teacher: int
) -> None:
    found = preceptor.distill(
        data=points,
        teacher=teachers[of_teacher],
        model={"name": "mlp", "widths": [16], "logits": of_student},
        method=method,
        out=tmp_path / "s",
        epochs=3,
        batch_size=32,
        optim={"name": "adamw", "lr": 2e-2},
        progress=False,
    )
    assert found.model(torch.zeros(1, 2)).shape == (1, of_student)
    assert found.metrics.binary is not None
    assert found.metrics.binary.auroc is not None
    assert found.metrics.binary.auroc > 0.9


def test_the_same_function_with_one_output_and_with_two_is_scored_alike(points: str) -> None:
    one, two = nn.Linear(2, 1), nn.Linear(2, 2)
    with torch.no_grad():
        shift = torch.randn(2)
        two.weight.copy_(torch.stack([shift, shift + one.weight[0]]))
        two.bias.copy_(torch.cat([torch.tensor([3.0]), 3 + one.bias]))
    first, second = preceptor.assess(one, two, data=points, device="cpu")
    assert first.test.as_dict() == pytest.approx(second.test.as_dict(), abs=1e-6)
    data, cpu = load(points), torch.device("cpu")
    logits = [
        predict(network, plain_batches(data.test, data.normalisation, 64, cpu), Engine(cpu)) for network in (one, two)
    ]
    assert KD()(logits[0], logits[1]).item() == pytest.approx(0, abs=1e-6)


def test_every_verb_takes_it(
    points: str, teachers: dict[int, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(teachers[1])
    record = json.loads((teachers[1] / "result.json").read_text())["test"]
    assert main(["evaluate", run]) == 0
    assert f"{record['auroc']:.5g}" in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert main(["assess", run, str(teachers[2]), "--page", str(page)]) == 0
    assert "AUROC" in capsys.readouterr().out
    assert all(f"<th>{name}</th>" in page.read_text() for name in ("AUROC", "AP", "F1"))
    student = ["model=mlp", "model.widths=[8]", "model.logits=1", "epochs=2"]
    assert main(["curve", run, *student, f"out={tmp_path / 'course'}"]) == 0
    stored = str(tmp_path / "labels")
    assert main(["label", f"data={points}", f"teacher={run}", f"out={stored}"]) == 0
    words = ["distill", f"data={points}", f"labels={stored}", *student, f"out={tmp_path / 's'}"]
    assert main(words) == 0


@pytest.mark.parametrize("method", ["simkd", "srrl"])
@pytest.mark.parametrize("of_teacher", [1, 2])
def test_methods_that_take_the_teachers_classifier(tmp_path: Path, method: str, of_teacher: int) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (80, 1, 8, 8), dtype=np.uint8)
    data = (images, (images.mean((1, 2, 3)) > 127).astype(np.int64))
    teacher = preceptor.teach(
        data=data, model={"name": "convnet_m", "logits": of_teacher}, out=tmp_path / "t", batch_size=16, **SHORT
    )
    student = preceptor.distill(
        data=data, teacher=teacher, model="convnet_s", method=method, out=tmp_path / "s", batch_size=16, **SHORT
    )
    assert 0 <= student.metrics.accuracy <= 1
    again = preceptor.evaluate(tmp_path / "s", data=data, device="cpu")
    assert again.nll == pytest.approx(student.metrics.nll, rel=1e-4)


def test_outputs_that_do_not_fit_the_classes(points: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^model\.logits: 1 for 10 classes; one per class, or 1 for two classes$"):
        preceptor.teach(data="digits", model={"name": "mlp", "logits": 1}, out=tmp_path / "t", progress=False)
    with pytest.raises(UsageError, match=r"^model\.logits: 3 for 2 classes"):
        preceptor.teach(data=points, model={"name": "mlp", "logits": 3}, out=tmp_path / "t", progress=False)


def test_balanced_class_weights_find_more_of_the_rare_class(points: str, tmp_path: Path) -> None:
    plain, balanced = (
        preceptor.teach(data=points, model="mlp", objective=objective, out=tmp_path / name, epochs=2, progress=False)
        for name, objective in (
            ("plain", "cross_entropy"),
            ("balanced", {"name": "cross_entropy", "class_weights": "balanced"}),
        )
    )
    assert plain.metrics.binary is not None
    assert balanced.metrics.binary is not None
    assert balanced.metrics.binary.balanced_accuracy > plain.metrics.binary.balanced_accuracy


def test_the_real_htru2(shared_data: Path, tmp_path: Path) -> None:
    data = {"name": "npz", "path": str(shared_data / "htru2.npz")}
    teacher = preceptor.teach(data=data, model={"name": "mlp", "logits": 1}, out=tmp_path / "t", **SHORT)
    small = {"name": "mlp", "widths": [32]}
    student = preceptor.distill(data=data, teacher=teacher, model=small, method="dkd", out=tmp_path / "s", **SHORT)
    for run in (teacher, student):
        assert run.metrics.binary is not None
        assert run.metrics.binary.prevalence == pytest.approx(0.0916, abs=1e-3)
        assert run.metrics.accuracy > 0.96  # always "no" is 0.908
        assert run.metrics.binary.average_precision is not None
        assert run.metrics.binary.average_precision > 0.85
