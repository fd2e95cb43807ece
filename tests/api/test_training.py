"""teach, distill and evaluate with one's own objects, and what they say when something is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import Dataset

import preceptor
from preceptor import models
from preceptor.cli import main
from preceptor.errors import UsageError
from preceptor.objectives.distill import KD
from preceptor.objectives.teacher import Brier

SMALL = {"name": "digits", "limit": 200, "test_limit": 50}


class Mine(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, classes))

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.net(inputs)
        return logits


class Items(Dataset[tuple[Tensor, int]]):
    def __init__(self) -> None:
        table = load_digits()
        self.images, self.labels = torch.tensor(table.images, dtype=torch.float32)[:, None] / 16, table.target

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.images[row], int(self.labels[row])


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    out = tmp_path_factory.mktemp("runs") / "teacher"
    return preceptor.teach(data="digits", model="convnet_m", objective="soteacher", epochs=5, out=out, progress=False)


def test_the_main_job(teacher: preceptor.Result, tmp_path: Path) -> None:
    student = preceptor.distill(
        data="digits", teacher=teacher, model="convnet_s", method="kd", epochs=12, out=tmp_path / "s", progress=False
    )
    assert teacher.metrics.accuracy > 0.9
    assert student.metrics.accuracy > 0.5
    assert preceptor.evaluate(student.path) == student.metrics
    for name, value in preceptor.load(student.path).state_dict().items():
        assert torch.equal(value, student.model.state_dict()[name])
    record = json.loads((tmp_path / "s" / "result.json").read_text())
    assert record["test"]["accuracy"] == student.metrics.accuracy
    assert {"validation", "history", "seconds", "images_per_second", "versions", "git", "seed", "command"} <= set(
        record
    )
    assert len(record["history"]) == 12
    assert record["teacher_fingerprint"] is not None
    assert not any(module._forward_hooks for module in student.model.modules())


@pytest.mark.parametrize("method", ["kd", "dkd", "at", "fitnet", "rkd"])
def test_every_method_from_a_teacher_of_another_shape(teacher: preceptor.Result, tmp_path: Path, method: str) -> None:
    result = preceptor.distill(
        data="digits",
        teacher=teacher.path,
        model="convnet_s",
        method=method,
        epochs=4,
        out=tmp_path / "s",
        progress=False,
    )
    losses = [row["train"]["terms"][method] for row in result.record.history]
    assert losses[-1] < losses[0]


def test_any_module_any_dataset_any_objective(tmp_path: Path) -> None:
    short: Any = {"epochs": 8, "optim": {"name": "adamw", "lr": 0.01}, "progress": False}
    first = preceptor.teach(data=Items(), model=Mine(), objective=Brier(), out=tmp_path / "t", **short)
    assert first.metrics.accuracy > 0.7
    student = preceptor.distill(
        data=Items(), teacher=first.model, model=Mine(), method=KD(2.0), out=tmp_path / "s", **short
    )
    assert student.metrics.accuracy > 0.7
    assert isinstance(student.model, Mine)
    with pytest.raises(UsageError, match=r"data: python:.*Items was passed as a Python object; pass it again as data="):
        preceptor.evaluate(tmp_path / "s")
    with pytest.raises(UsageError, match=r"was passed as a Python object \(python:.*Mine\), .* give it again: model="):
        preceptor.evaluate(tmp_path / "s", data=Items())
    assert preceptor.evaluate(tmp_path / "s", model=Mine(), data=Items()) == student.metrics


def test_arrays_with_parts_of_their_own(tmp_path: Path) -> None:
    table = load_digits()
    images = (table.images / 16 * 255).astype(np.uint8)
    parts = {"train": (images[:900], table.target[:900]), "test": (images[900:], table.target[900:])}
    result = preceptor.teach(data=parts, model="convnet_s", epochs=12, out=tmp_path / "t", progress=False)
    assert result.metrics.samples == 897
    assert result.metrics.accuracy > 0.5


def test_vectors_and_a_known_truth(tmp_path: Path) -> None:
    data = {"name": "gaussian", "samples": 4000, "num_classes": 3, "dim": 5, "variance": 1.0}
    result = preceptor.teach(
        data=data, model={"name": "mlp", "widths": [16]}, epochs=30, out=tmp_path / "t", progress=False
    )
    assert result.metrics.truth is not None
    assert result.metrics.truth.expected_accuracy <= result.metrics.truth.bayes_accuracy
    assert result.metrics.truth.total_variation < 0.5
    student = preceptor.distill(
        data=data, teacher={"truth": True}, model="mlp", epochs=2, out=tmp_path / "s", progress=False
    )
    assert student.record.teacher_fingerprint is None
    assert student.record.truth_fingerprint == result.record.truth_fingerprint is not None


def test_a_bare_weights_file_as_teacher(teacher: preceptor.Result, tmp_path: Path) -> None:
    torch.save({"model": teacher.model.state_dict()}, tmp_path / "t.pth")
    section = {"path": str(tmp_path / "t.pth"), "model": "convnet_m"}
    result = preceptor.distill(
        data=SMALL, teacher=section, model="convnet_s", epochs=1, out=tmp_path / "s", progress=False
    )
    assert result.record.teacher_fingerprint is not None


def test_tensorboard_on_request(tmp_path: Path) -> None:
    preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "t", progress=False, track="tensorboard")
    assert list((tmp_path / "t" / "tensorboard").glob("events.*"))


def test_a_run_made_again_from_its_own_configuration_is_the_same(tmp_path: Path) -> None:
    first = preceptor.teach(data=SMALL, model="convnet_s", epochs=2, out=tmp_path / "a", progress=False)
    assert main(["teach", "--config", str(tmp_path / "a" / "config.yaml"), f"out={tmp_path / 'b'}"]) == 0
    again = preceptor.load(tmp_path / "b")
    assert all(torch.equal(v, again.state_dict()[name]) for name, v in first.model.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": "digitz"}, r"data: unknown name 'digitz'; did you mean digits"),
        ({"model": "resnet9"}, r"model: unknown name 'resnet9'; did you mean resnet"),
        ({"objective": "briar"}, r"objective: unknown name 'briar'; did you mean brier"),
        ({"data": {"name": "cifar100", "root": "/nowhere"}}, r"data.root: /nowhere: no such folder"),
        ({"data": {"name": "digits", "view": "spin"}}, r"data.view: unknown name 'spin'"),
        ({"stop_at": 99, "epochs": 3}, r"stop_at: epoch 99 is not in 1..3"),
        ({"stop_at": "best_val_nll", "data": {"name": "digits", "validation": 0}}, r"needs a validation split"),
        ({"device": "cuda:7"}, r"device: 'cuda:7' cannot be used here"),
        ({"model": Mine(classes=7)}, r"model has 7 classes, data digits has 10"),
        ({"model": nn.Linear}, r"model: Linear is a class, expected an object of it: Linear\(...\)"),
        ({"model": nn.Identity()}, r"model Identity returned a tensor \(2, 1, 8, 8\)"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_left_behind(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    settings: dict[str, object] = {"data": "digits", "model": "convnet_s", "out": tmp_path / "run", "progress": False}
    with pytest.raises(UsageError, match=message) as caught:
        preceptor.teach(**{**settings, **arguments})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_had_is_said_before_anything_is_read(teacher: preceptor.Result, tmp_path: Path) -> None:
    """The data are not there either: who looked at them first would say so."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    missing: dict[str, str] = {"name": "cifar100", "root": "/nowhere"}
    for out, message in (
        (teacher.path, "holds a finished run; overwrite=True"),
        (tmp_path / "other", r"is not empty and holds no run \(thesis.tex"),
        (tmp_path / "file", "is a file, not a folder"),
    ):
        with pytest.raises(UsageError, match=message):
            preceptor.teach(data=missing, model="resnet8", out=out, progress=False)
        with pytest.raises(UsageError, match=message):
            preceptor.distill(data=missing, teacher="/nowhere", model="resnet8", out=out, progress=False)
    with pytest.raises(UsageError, match="is not empty and holds no labels"):
        preceptor.label(data=missing, teacher="/nowhere", out=tmp_path / "other", progress=False)


def test_what_is_hardly_meant_is_said(
    teacher: preceptor.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(verb: str, objective: str | dict[str, object]) -> str:
        settings = {"data": "digits", "model": "convnet_s", "epochs": 1, "out": tmp_path / "run", "overwrite": True}
        if verb == "distill":
            preceptor.distill(teacher=teacher, method=objective, **settings)  # type: ignore[arg-type]
        else:
            preceptor.teach(objective=objective, start_from=teacher, **{**settings, "model": "convnet_m"})  # type: ignore[arg-type]
        return " ".join(capsys.readouterr().err.split())

    assert "warning: no term looks at the teacher (brier)" in said("distill", "brier")
    assert "warning: term kd has weight -0.01" in said("distill", {"name": "kd", "weight": -0.01})
    assert "warning: term" not in said("teach", "mcmi")  # which is meant to be made large
    plain = said("distill", "kd")
    assert "looks at the teacher" not in plain
    assert "has weight" not in plain


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"layer9": "blocks.0"}, "student's feature layer9: ConvNet has no such feature"),
        ({"blocks.0": "layer9"}, "teacher's feature layer9: ConvNet has no such feature"),
        (
            {"block1:5x5": "block1"},
            r"student's feature block1:5x5: block1 takes no suffix; .* module's path: blocks\.0:5x5",
        ),
    ],
)
def test_a_feature_that_is_not_there_is_named_with_its_network(
    teacher: preceptor.Result, tmp_path: Path, pairs: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        preceptor.distill(
            data="digits",
            teacher=teacher,
            model="convnet_s",
            method={"name": "at", "pairs": pairs},
            out=tmp_path / "run",
            progress=False,
        )


def test_a_teacher_that_does_not_fit(teacher: preceptor.Result, tmp_path: Path) -> None:
    data = {"name": "gaussian", "samples": 400, "num_classes": 3}

    def distil(**arguments: object) -> None:
        settings: dict[str, object] = {"data": SMALL, "model": "convnet_s", "out": tmp_path / "run", "progress": False}
        preceptor.distill(**{**settings, **arguments})  # type: ignore[arg-type]

    with pytest.raises(UsageError, match=re.escape(f"run {teacher.path} has 10 classes, data gaussian has 3")):
        distil(teacher=teacher.path, data=data, model="mlp")
    with pytest.raises(UsageError, match="no such run folder or file"):
        distil(teacher="runs/none")
    models.save_weights(teacher.model, tmp_path / "t.safetensors")
    with pytest.raises(UsageError, match=r"is a bare weights file; say which network it is with teacher\.model=NAME"):
        distil(teacher=tmp_path / "t.safetensors")
    with pytest.raises(UsageError, match="do not fit ConvNet"):
        distil(teacher={"path": str(tmp_path / "t.safetensors"), "model": "convnet_s"})
    with pytest.raises(UsageError, match="does not know its true label distribution"):
        distil(teacher={"truth": True})
    with pytest.raises(UsageError, match="teacher: none given"):
        distil(teacher={})
