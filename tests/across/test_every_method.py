"""Every method by its name alone, from a teacher of another architecture, on real digits, for a few steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import preceptor
from preceptor.config.procedures import PROCEDURES
from preceptor.objectives.base import Objective
from preceptor.objectives.distill import METHODS

DATA = {"name": "digits", "limit": 128, "test_limit": 32, "validation": 0.0}
EPOCHS = 5


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        preceptor.teach(
            data="digits",
            model="convnet_m",
            epochs=3,
            seed=seed,
            keep_every=1,
            out=folder / f"teacher{seed}",
            progress=False,
        )
    return [folder / "teacher0", folder / "teacher1"]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["train"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("key", [*METHODS, *PROCEDURES])
def test_it_lowers_its_own_loss(key: str, teachers: list[Path], tmp_path: Path) -> None:
    method: dict[str, Any] = {"name": key}
    teacher: dict[str, Any] = {"path": str(teachers[0])}
    if key in METHODS and METHODS[key].objective.pretraining is not Objective.pretraining:
        method["stage_epochs"] = 3
    if key == "ensemble":
        teacher["path"] = [str(path) for path in teachers]
    if key == "rco":
        teacher["anchors"] = [3]  # the state it ends in, so that the target stays where it is
    if key == "takd":
        teacher["assistants"] = ["convnet_m"]
    is_mixed = key in PROCEDURES and "inputs" in PROCEDURES[key].implies  # no two batches are equally hard
    epochs, rate = (4 * EPOCHS, 0.1) if is_mixed else (EPOCHS, 0.02)
    # kdsvd and fsp compare maps channel by channel, so their student is as wide as the teacher
    model = {"name": "convnet_m"} if key in {"fsp", "kdsvd"} else {"name": "convnet_s"}
    result = preceptor.distill(
        data=DATA,
        teacher=teacher,
        model=model,
        method=method,
        epochs=epochs,
        batch_size=32,
        optim={"lr": rate},
        out=tmp_path / "run",
        progress=False,
    )
    history = rows(result.path)
    assert len(history) == epochs
    stage = tmp_path / "run" / "stages" / key
    if key in history[0]["terms"]:
        assert history[-1]["terms"][key] < history[0]["terms"][key]
    if stage.exists():
        before = rows(stage)
        assert len(before) == 3
        assert before[-1]["terms"][key] < before[0]["terms"][key]
    assert stage.exists() or key in history[0]["terms"]
    assert preceptor.evaluate(result.path) == result.metrics
