"""Multi-label data from end to end: two real handwritten digits side by side, the labels which digits are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import preceptor
from preceptor.assessment import measure
from preceptor.cli import main
from preceptor.data import load
from preceptor.errors import UsageError

TRAINING: dict[str, Any] = {
    "engine": "plain",
    "epochs": 6,
    "batch_size": 16,
    "optim": {"name": "sgd", "lr": 0.1},
    "schedule": "one_cycle",
    "progress": False,
}


def pairs(images: Any, digits: Any, samples: int, seed: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    left, right = generator.integers(0, len(digits), (2, samples))
    labels = np.zeros((samples, 10), np.uint8)
    labels[np.arange(samples), digits[left]] = 1
    labels[np.arange(samples), digits[right]] = 1
    return np.concatenate([images[left], images[right]], 3), labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pairs for training and for testing are made of different digits."""
    digits = load_digits()
    images = (digits.images * 15.9375).astype(np.uint8)[:, None]
    train = pairs(images[:1300], digits.target[:1300], 600, 0)
    test = pairs(images[1300:], digits.target[1300:], 200, 1)
    path = tmp_path_factory.mktemp("pairs") / "pairs.npz"
    np.savez(path, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    return f"npz:{path}"


@pytest.fixture(scope="module")
def teacher(data: str, tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    out = tmp_path_factory.mktemp("runs") / "t"
    return preceptor.teach(data=data, model="convnet_m", out=out, stop_at="best_val_nll", **TRAINING)


def learns(result: preceptor.Result, data: str) -> None:
    """Check a result against the best that can be said without looking: each class's share."""
    test = load(data).test.labels
    shares = load(data).train.labels.double().mean(0).clamp(1e-3, 1 - 1e-3)
    blind = measure(torch.logit(shares).expand(len(test), -1), test)
    found = result.metrics
    assert found.multilabel is not None
    assert found.multilabel.macro_average_precision is not None
    assert found.nll < blind.nll
    assert found.brier < blind.brier
    assert found.accuracy > blind.accuracy
    assert found.multilabel.macro_average_precision > 2 * found.multilabel.prevalence


def test_a_teacher_learns(data: str, teacher: preceptor.Result) -> None:
    learns(teacher, data)
    record = json.loads((teacher.path / "result.json").read_text())
    assert record["task"] == "multilabel"
    assert record["reliability"] is None
    assert {"exact_match", "macro_auroc", "micro_f1"} <= set(record["test"])
    assert record["train"]["accuracy"] > 0.8
    best = min(record["history"], key=lambda row: row["validation"]["nll"])
    assert record["selected_epoch"] == best["epoch"]
    assert preceptor.evaluate(teacher.path, device="cpu").nll == pytest.approx(teacher.metrics.nll, rel=0.02)


@pytest.mark.parametrize("objective", ["brier", "soteacher"])
def test_other_teacher_objectives_learn(data: str, tmp_path: Path, objective: str) -> None:
    learns(preceptor.teach(data=data, model="convnet_m", objective=objective, out=tmp_path / "t", **TRAINING), data)


@pytest.mark.parametrize("method", ["kd", "dkd", "dist", "logit_std", "rkd", "at", "fitnet"])
def test_students_learn(data: str, teacher: preceptor.Result, tmp_path: Path, method: str) -> None:
    found = preceptor.distill(
        data=data, teacher=teacher, model="convnet_s", method=method, out=tmp_path / "s", **TRAINING
    )
    learns(found, data)


def test_what_a_teacher_alone_can_teach_is_learned_too(data: str, teacher: preceptor.Result, tmp_path: Path) -> None:
    words = {"name": "kd", "cross_entropy": {"weight": 0.0}}
    stored = preceptor.label(data=data, teacher=teacher, out=tmp_path / "labels", progress=False)
    found = preceptor.distill(
        data=data, labels=stored.path, model="convnet_s", method=words, out=tmp_path / "s", **TRAINING
    )
    learns(found, data)


def test_several_teachers(data: str, teacher: preceptor.Result, tmp_path: Path) -> None:
    section = {"path": [str(teacher.path)] * 2}
    short = {**TRAINING, "epochs": 2}
    for method in ("ensemble", "kd"):
        preceptor.distill(data=data, teacher=section, model="convnet_s", method=method, out=tmp_path / method, **short)


@pytest.mark.parametrize("method", ["mlkd", "crd", "sskd", "hsakd"])
def test_methods_for_one_class_a_sample_are_refused_at_the_start(
    data: str, teacher: preceptor.Result, tmp_path: Path, method: str
) -> None:
    with pytest.raises(UsageError, match=rf"^{method}: is not made for multi-label data; there are .*kd, .*dist"):
        preceptor.distill(
            data=data, teacher=teacher, model="convnet_s", method=method, out=tmp_path / "s", progress=False
        )
    assert not (tmp_path / "s").exists() or not (tmp_path / "s" / "config.yaml").exists()


def test_what_cannot_be_is_one_line(
    data: str, teacher: preceptor.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(teacher.path), str(tmp_path / "s")
    other = [f"data={data}", f"teacher={run}", f"out={out}"]
    for words, message in (
        (["assess", run], "is multi-label, where confidence and temperature have no one meaning; use evaluate"),
        (["label", *other, "top=2"], "top: 2 keeps the largest of classes that exclude each other"),
        (["teach", f"data={data}", "model=mlp", "model.logits=1", f"out={out}"], "model.logits: 1 for 10 labels"),
        (["distill", "data=digits", f"teacher={run}", "model=mlp", f"out={out}"], "is of multi-label data, and data"),
        (["evaluate", run, "data=digits"], "is of multi-label data, and data digits is one class per sample"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len([line for line in error.splitlines() if line.startswith("error")]) == 1


def test_arrays_and_a_dataset_from_python(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((300, 4)).astype(np.float32)
    labels = (inputs[:, :3] > 0).astype(np.float32)
    short: dict[str, Any] = {"model": "mlp", "epochs": 10, "progress": False, "batch_size": 32}
    found = preceptor.teach(data=(inputs, labels), out=tmp_path / "a", **short)
    assert found.metrics.accuracy > 0.85
    whole = torch.utils.data.TensorDataset(torch.from_numpy(inputs), torch.from_numpy(labels))
    again = preceptor.teach(data=whole, out=tmp_path / "d", **short)
    assert again.metrics.multilabel is not None
    assert again.metrics.accuracy > 0.85
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    student = preceptor.distill(data=(inputs, labels), teacher=found, **{**short, "model": module}, out=tmp_path / "s")
    assert student.metrics.multilabel is not None


@pytest.mark.parametrize(
    ("labels", "more", "message"),
    [
        (np.full((20, 3), 0.5), {}, r"labels \[0\.5, 0\.5, 0\.5\] of sample 0 are not all 0 or 1"),
        (np.zeros((20, 1)), {}, r"labels have shape \(20, 1\)"),
        (np.zeros((20, 3)), {"p": np.full((20, 3), 1 / 3)}, "p is a distribution over classes, and multi-label"),
    ],
)
def test_labels_that_cannot_be(tmp_path: Path, labels: Any, more: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((20, 2), np.float32), y=labels, **more)
    with pytest.raises(UsageError, match=message):
        load(f"npz:{tmp_path / 'a.npz'}")


def test_parts_with_labels_of_two_kinds(tmp_path: Path) -> None:
    x = np.zeros((20, 2), np.float32)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.zeros((20, 3)), x_test=x, y_test=np.zeros(20))
    with pytest.raises(UsageError, match="different kinds: one class and zeros and ones for 3; they must be alike"):
        load(f"npz:{tmp_path / 'a.npz'}")


def test_splits_are_drawn_and_say_so(data: str) -> None:
    found = load(data, limit=100, validation=0.1, test_limit=50)  # of validation too
    assert (len(found.train), len(found.validation), len(found.test)) == (100, 50, 50)
    assert (found.task, found.num_classes) == ("multilabel", 10)
    assert any("splits are drawn without stratification" in note for note in found.notes)
    assert torch.equal(load(data, limit=100).train.labels, load(data, limit=100).train.labels)
