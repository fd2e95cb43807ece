"""Teachers in the plural: a team, a route of one's checkpoints, assistants between teacher and student."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import preceptor
from preceptor.errors import UsageError

SMALL = {"name": "digits", "limit": 128, "test_limit": 32}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        preceptor.teach(
            data=SMALL, model="convnet_m", epochs=4, seed=seed, keep_every=2, out=folder / f"t{seed}", progress=False
        )
    return [folder / "t0", folder / "t1"]


def student(out: Path, teacher: dict[str, Any], **more: Any) -> preceptor.Result:
    settings = {"epochs": 2, "batch_size": 32, "progress": False, **more}
    return preceptor.distill(data=SMALL, teacher=teacher, model="convnet_s", out=out, **settings)


def test_a_student_of_a_route_is_first_the_student_of_its_first_anchor(teachers: list[Path], tmp_path: Path) -> None:
    """With no switch before the end it is the student of the anchor alone, bit for bit."""
    route = {"path": str(teachers[0]), "anchors": [2], "switch_epochs": [3]}
    one = student(tmp_path / "route", route)
    anchor = teachers[0] / "checkpoint" / "epoch_0002.safetensors"
    two = student(tmp_path / "anchor", {"path": str(anchor), "model": "convnet_m"})
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True))
    end = student(tmp_path / "end", {"path": str(teachers[0])})
    assert not all(torch.equal(a, b) for a, b in zip(one.model.parameters(), end.model.parameters(), strict=True))


def test_rco_takes_all_kept_epochs(teachers: list[Path], tmp_path: Path) -> None:
    result = student(tmp_path / "s", {"path": str(teachers[0])}, method="rco", epochs=3)
    config = (result.path / "config.yaml").read_text()
    assert "anchors: kept" in config


def test_assistants_are_runs_of_their_own(teachers: list[Path], tmp_path: Path) -> None:
    teacher = {"path": str(teachers[0]), "assistants": ["convnet_m", "mlp"]}
    result = student(tmp_path / "s", teacher, method="takd")
    assert result.record.assistants == [f"{tmp_path}/s-assistant1", f"{tmp_path}/s-assistant2"]
    last = json.loads((tmp_path / "s-assistant2" / "result.json").read_text())
    assert last["kind"] == "distill"
    again = student(tmp_path / "direct", {"path": f"{tmp_path}/s-assistant2"})
    assert all(torch.equal(a, b) for a, b in zip(result.model.parameters(), again.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("teacher", "method", "message"),
    [
        ({}, "takd", r"method takd needs teacher.assistants=\[NAME, ...\]"),
        ({"anchors": [3]}, "kd", r"has kept epochs 2, 4, not 3; teach with keep_every=N"),
        ({"anchors": [2], "switch_epochs": [1, 2]}, "kd", r"switch_epochs: \[1, 2\] must be 1 rising epochs"),
        ({"anchors": [2, 4], "switch_epochs": [2, 1]}, "kd", r"switch_epochs: \[2, 1\] must be 2 rising epochs"),
    ],
)
def test_mistakes(teachers: list[Path], tmp_path: Path, teacher: dict[str, Any], method: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        student(tmp_path / "s", {"path": str(teachers[0]), **teacher}, method=method)
    assert not (tmp_path / "s").exists()


def test_a_weights_file_has_no_anchors(teachers: list[Path], tmp_path: Path) -> None:
    path = str(teachers[0] / "model.safetensors")
    with pytest.raises(UsageError, match=r"teacher.anchors: need one run folder as teacher, got .*safetensors"):
        student(tmp_path / "s", {"path": path, "model": "convnet_m", "anchors": [2]})
