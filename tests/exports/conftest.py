"""Runs that several files of tests export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import preceptor
from preceptor.runner.result import Result

DATA: dict[str, Any] = {"name": "digits", "limit": 200, "test_limit": 80}


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks for digits, one measured in float32 and one in bfloat16."""
    folder = tmp_path_factory.mktemp("runs")
    settings: dict[str, Any] = {"data": DATA, "epochs": 1, "engine": "plain", "progress": False}
    preceptor.teach(model="convnet_s", precision="fp32", out=folder / "a", **settings)
    preceptor.teach(model="convnet_m", precision="bf16", out=folder / "b", **settings)
    return folder


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Result:
    out = tmp_path_factory.mktemp("kept") / "k"
    return preceptor.teach(
        data={"name": "digits", "limit": 600}, model="convnet_s", epochs=3, keep_every=1, out=out, progress=False
    )
