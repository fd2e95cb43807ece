"""The first lines of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor.data import from_objects, load
from preceptor.runner.banner import throughput_unit

DATA = {"name": "digits", "limit": 64, "test_limit": 20}


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return the banner by label: what stands before the first note and epoch."""
    said = capsys.readouterr().err.splitlines()
    end = next(number for number, line in enumerate(said) if line.startswith(("note: ", "epoch ")))
    assert end <= 8
    return {line.split(" ", 1)[0]: line[11:] for line in said[:end]}


def test_of_a_teacher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preceptor.teach(
        data=DATA,
        model="convnet_s",
        objective={"name": "soteacher", "lipschitz": {"weight": 2e-6}},
        epochs=1,
        engine="plain",
        averaging="ema",
        out=tmp_path / "t",
    )
    found = lines(capsys)
    assert [*found] == ["data", "network", "objective", "training", "device", "out"]
    assert found["data"].startswith("digits  train 64, validation 20, test 20; 10 classes; inputs 1x8x8 uint8; view ")
    assert found["network"] == "convnet_s  2.03 k parameters, 120 kFLOP per sample"
    assert found["objective"].startswith("1 cross_entropy + 2e-06 lipschitz (")
    assert "consistency (" in found["objective"]
    assert "] consistency" in found["objective"]  # its weight is a schedule
    assert found["training"].startswith("1 epochs  batch ")
    assert "averaging ema" in found["training"]
    assert found["device"] == "cpu, fp32"
    assert found["out"] == str(tmp_path / "t")


def test_of_a_student_of_several_teachers_on_mixed_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    teacher = preceptor.teach(data=DATA, model="convnet_s", epochs=1, out=tmp_path / "t", progress=False)
    preceptor.distill(
        data=DATA,
        model=network,
        teacher=[str(teacher.path), str(teacher.path)],
        inputs="mixup",
        epochs=1,
        stop_at="best_val_nll",
        out=tmp_path / "s",
    )
    found = lines(capsys)
    assert [*found] == ["data", "teacher", "student", "method", "inputs", "training", "device", "out"]
    assert found["teacher"].count(f"{teacher.path}  convnet_s  2.03 k parameters") == 2
    assert found["teacher"].count("validation accuracy ") == 2
    assert found["student"] == "Sequential  650 parameters, 1.28 kFLOP per sample"
    assert found["inputs"].startswith("mixup (")
    assert "stop_at best_val_nll" in found["training"]


def test_of_a_student_of_a_calibrated_posterior(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common: dict[str, Any] = {"data": DATA, "model": "convnet_s"}
    run = preceptor.teach(**common, epochs=2, keep_every=1, out=tmp_path / "t", progress=False).path
    teacher = {"path": str(run), "posterior": "swag", "posterior_start": 1, "samples": 2, "calibrate": "ece"}
    preceptor.distill(**common, teacher=teacher, epochs=1, out=tmp_path / "s")
    said = capsys.readouterr().err
    assert f"{run}  convnet_s  2.03 k parameters" in said
    assert "swag x 2" in said
    assert re.search(r"note: teacher 1: logits divided by \S+ \(by NLL \S+\): ECE on 20 validation samples ", said)


def test_what_is_no_image_is_counted_as_a_sample() -> None:
    assert throughput_unit(load("digits", limit=20, test_limit=10)) == "img"
    assert throughput_unit(from_objects((torch.randn(40, 3), torch.arange(40) % 2))) == "samples"
