"""What `preceptor curve` prints and writes beside the students."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from preceptor.cli import main
from preceptor.config.sections import DistillRecipe
from preceptor.runner.curve import Point
from records import made_config

verbs = importlib.import_module("preceptor.cli.curve")  # the package has a function of this name


def test_the_students_read_the_teachers_data_and_the_points_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {"accuracy": 0.5, "nll": 1.25, "ece": 0.125}
    points = [Point(epoch, scores, scores, {**scores, "accuracy": epoch / 8}, f"s/{epoch}") for epoch in (2, 4)]
    recipes = []

    def curve(recipe: DistillRecipe, tell: Callable[[str], None]) -> list[Point]:
        recipes.append(recipe)
        tell("teacher epoch 2")
        return points

    monkeypatch.setattr(verbs, "curve", curve)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "config.yaml").write_text(yaml.safe_dump(made_config(data={"name": "digits", "limit": 70})))
    (tmp_path / "out").mkdir()
    assert main(["curve", f"{tmp_path}/t", "model=convnet_s", "method=kd", f"out={tmp_path}/out"]) == 0
    assert (recipes[0].data.limit, recipes[0].teacher.path) == (70, f"{tmp_path}/t")
    printed = capsys.readouterr()
    assert printed.err == "teacher epoch 2\n"
    assert "Students of epoch 4 (the best student): 50.00 %" in " ".join(printed.out.split())
    assert json.loads((tmp_path / "out" / "curve.json").read_text())["points"] == [point.as_dict() for point in points]
    assert "students convnet_s by kd" in (tmp_path / "out" / "curve.html").read_text()


def test_the_first_word_is_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curve", "model=convnet_s"]) == 2
    assert capsys.readouterr().err.startswith("error: model=convnet_s: the first word is the teacher's run folder")
