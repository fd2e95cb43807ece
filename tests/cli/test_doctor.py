"""`preceptor doctor`."""

from __future__ import annotations

import json
import platform
import socket
from importlib import metadata
from typing import Any

import pytest
import torch

from preceptor.cli import main
from preceptor.cli.doctor import facts


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_report_in_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    lines = {line.split("  ")[0]: line for line in said.splitlines()}
    assert metadata.version("preceptor") in lines["preceptor"]
    assert platform.python_version() in lines["python"]
    assert torch.__version__ in lines["torch"]
    assert lines["variable OMP_NUM_THREADS"].split()[-1] == "3"
    assert {"gpu", "cpu can", "threads", "a run uses", "processor", "memory", "disk", "compiler"} <= {*lines}
    assert {"extra export", "extra vision", "extra hf", "extra tables"} <= {*lines}
    assert not any(name in lines for name in ("extra dev", "extra docs"))


def test_programs_read_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["preceptor"] == metadata.version("preceptor")
    assert "tensorboard" in found["extra"]["tensorboard"]


def test_what_is_absent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    known = metadata.version

    def version(package: str) -> str:
        if package in {"torchvision", "timm", "onnxruntime"}:
            raise metadata.PackageNotFoundError(package)
        return known(package)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setenv("CXX", "no-such-compiler")
    found: Any = facts()
    assert found["extra"]["vision"] == "timm absent, torchvision absent"
    assert "onnxruntime absent" in found["extra"]["export"]
    assert found["compiler"] == "no-such-compiler: not found; engine=fast cannot compile for the CPU"


def test_a_torch_that_does_not_work_is_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("libcudart is missing\nand more")

    monkeypatch.setattr("preceptor.training.choose_engine", broken)
    found: Any = facts()
    assert found["torch"].endswith("does not work: RuntimeError: libcudart is missing")
    assert "gpu" not in found
    assert "extra" in found
