"""The options of `preceptor grid`, as they reach the verb."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from preceptor.cli import main

verbs = importlib.import_module("preceptor.cli.experiments")


@pytest.mark.parametrize(
    ("words", "place", "flags"),
    [
        ([], verbs.Place(), {"retry": False, "status": False, "show_plan": False}),
        (["--gpus", "0,2", "--per-gpu", "3"], verbs.Place(gpus=("0", "2"), per_gpu=3), {"retry": False}),
        (["--jobs", "4", "--threads", "2", "--ranks", "2"], verbs.Place(jobs=4, threads=2, ranks=2), {}),
        (["--ray", "auto", "--ray-gpus", "0.5"], verbs.Place(ray="auto", ray_gpus=0.5), {}),
        (
            ["--slurm", "time=1:00", "--retry", "--status"],
            verbs.Place(slurm="time=1:00"),
            {"retry": True, "status": True},
        ),
        (["--dry-run"], verbs.Place(), {"show_plan": True}),
    ],
)
def test_options_reach_the_verb(
    words: list[str], place: Any, flags: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[Any, ...], dict[str, bool]]] = []
    monkeypatch.setattr(verbs, "grid_verb", lambda *arguments, **flags: asked.append((arguments, flags)))
    assert main(["grid", "f.yaml", "--set", "seed=1", "--set", "a=2", "--only", "m=kd", *words]) == 0
    ((arguments, given),) = asked
    assert arguments == ("f.yaml", ["seed=1", "a=2"], ["m=kd"], place)
    assert {key: given[key] for key in flags} == flags


def test_without_a_file_the_shipped_ones_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grid"]) == 0
    assert "mse-teacher-full" in capsys.readouterr().out
