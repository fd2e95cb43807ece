"""The figures of a grid: what is drawn, and from which numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

from preceptor.reports.grid_figures import (
    learning_curves,
    merged_bars,
    reliability_diagrams,
    teacher_figures,
    teacher_scores,
)
from preceptor.reports.grid_folder import GridFolder, read_grid_folder
from preceptor.reports.groups import group_cells
from records import change_json, write_json
from small_grid import write_grid


def grid_of(folder: Path, *, epoch: int | None = None) -> GridFolder:
    values = write_grid(folder)
    if epoch is not None:
        for cell in values["cells"]:
            if cell["teacher"]:
                cell["teacher"]["epoch"] = epoch
        write_json(folder / "grid.json", values)
    return read_grid_folder(folder)


def test_students_over_their_teachers(tmp_path: Path) -> None:
    figures, missing = teacher_figures(grid_of(tmp_path), ["objective"])
    axes = ("teacher accuracy % (test)", "teacher NLL (test)", "teacher distance to truth (test)")
    assert [axis in figure.svg for axis, figure in zip(axes, figures, strict=True)] == [True] * 3
    assert missing is None
    for figure in figures:
        links = re.findall(r'href="([^"]+)"', figure.svg)
        assert sorted(links) == sorted(
            f"cells/distill-{objective}-{method}-{seed}/result.json"
            for objective in ("cross_entropy", "brier")
            for method in ("kd", "dkd")
            for seed in range(3)
        )


def test_a_teacher_that_is_not_done_is_said(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (tmp_path / "cells" / "teach-brier-1" / "result.json").unlink()
    _, missing = teacher_figures(read_grid_folder(tmp_path), ["objective"])
    assert missing is not None
    assert missing.startswith("2 of 12 students are not drawn")


def test_no_teacher_figures_without_teachers(tmp_path: Path) -> None:
    values = write_grid(tmp_path)
    students = [{**cell, "teacher": None, "needs": []} for cell in values["cells"] if cell["verb"] == "distill"]
    write_json(tmp_path / "grid.json", {**values, "cells": students})
    figures, missing = teacher_figures(read_grid_folder(tmp_path), ["objective"])
    assert figures == []
    assert missing is not None


def test_a_tested_state_has_its_test_scores_another_one_its_validation_scores(tmp_path: Path) -> None:
    for name, epoch in (("last", None), ("same", 2), ("kept", 1)):
        grid = grid_of(tmp_path / name, epoch=epoch)
        split, scores = teacher_scores(grid, grid.of("distill"))
        teacher = scores["distill-brier-kd-0"]
        if name == "kept":  # epoch 1, which no test measured
            assert (split, round(teacher["accuracy"], 6), teacher["truth_mse"]) == ("validation", 0.75, 0.5)
        else:
            assert (split, round(teacher["accuracy"], 6), round(teacher["truth_mse"], 6)) == ("test", 0.65, 0.2)


def test_a_figure_per_setting_with_a_line_per_alternative(tmp_path: Path) -> None:
    groups = group_cells(grid_of(tmp_path).of("distill"))
    kd, dkd = learning_curves(groups, ["objective", "method"], ["objective"], "Students")
    assert (kd.caption, dkd.caption) == ("Students: kd.", "Students: dkd.")
    assert all(name in kd.svg for name in ("cross_entropy", "brier", "validation accuracy %"))


def test_without_validation_the_curve_is_of_training(tmp_path: Path) -> None:
    values = write_grid(tmp_path)
    for cell in values["cells"]:
        path = tmp_path / cell["run"] / "result.json"
        history = json.loads(path.read_text())["history"]
        change_json(path, history=[{**row, "validation": {}} for row in history])
    groups = group_cells(read_grid_folder(tmp_path).of("distill"))
    (figure,) = learning_curves(groups, ["objective", "method"], ["objective", "method"], "Students")
    assert "train accuracy %" in figure.svg


def test_a_reliability_diagram_per_group(tmp_path: Path) -> None:
    groups = group_cells(grid_of(tmp_path).of("teach"))
    drawn = reliability_diagrams(groups, ["objective"], "Teachers")
    assert ["Teachers: cross_entropy" in drawn[0], "Teachers: brier" in drawn[1]] == [True, True]


def test_bins_that_no_sample_is_in_stay_empty() -> None:
    empty = {"count": 0.0, "confidence": 0.0, "accuracy": 0.0}
    full = {"count": 2.0, "confidence": 0.9, "accuracy": 0.5}
    assert merged_bars([[empty, full], [empty, {"count": 2.0, "confidence": 0.7, "accuracy": 1.0}]]) == [
        {"count": 0.0, "confidence": 0.0, "accuracy": 0.0},
        {"count": 4.0, "confidence": 0.8, "accuracy": 0.75},
    ]
