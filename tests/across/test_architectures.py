"""Methods for networks of different families: a transformer teaches a convolutional network, and the other way round."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import preceptor

if find_spec("timm") is None:
    pytest.skip("needs the extra vision", allow_module_level=True)

DATA = {"name": "digits", "limit": 64, "test_limit": 32, "validation": 0.0}
SHORT: dict[str, Any] = {"data": DATA, "batch_size": 32, "engine": "plain", "progress": False}
VIT = {
    "name": "timm:vit_tiny_patch16_224",
    "pretrained": False,
    "img_size": 8,
    "patch_size": 2,
    "embed_dim": 24,
    "depth": 4,
    "num_heads": 2,
}
CNN = {"name": "convnet_s"}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("teachers")
    for name, model in (("vit", VIT), ("cnn", CNN)):
        preceptor.teach(model=model, epochs=1, out=folder / name, optim={"name": "adamw", "lr": 1e-3}, **SHORT)
    return {"vit": folder / "vit", "cnn": folder / "cnn"}


@pytest.mark.parametrize("method", ["ofa", "rsd"])
@pytest.mark.parametrize(("teacher", "student"), [("vit", CNN), ("cnn", VIT)])
def test_they_learn_from_each_other(
    teachers: dict[str, Path], tmp_path: Path, teacher: str, student: dict[str, Any], method: str
) -> None:
    result = preceptor.distill(
        teacher=teachers[teacher],
        model=student,
        method=method,
        epochs=3,
        optim={"name": "adamw", "lr": 1e-3},
        out=tmp_path / "s",
        **SHORT,
    )
    history = result.record.history
    assert history[-1]["train"]["terms"][method] < history[0]["train"]["terms"][method]
    assert preceptor.evaluate(result.path) == result.metrics  # exits and projectors are not part of the student
