"""The sentences: what the numbers show, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.reports.grid_findings import findings_of, notes_of, subtitle_of
from preceptor.reports.grid_folder import GridFolder, read_grid_folder
from preceptor.reports.groups import VerbGroups, by_setting, group_cells, overall, varying
from small_grid import GAIN, write_grid


def students(grid: GridFolder) -> list[VerbGroups]:
    groups, baseline = group_cells(grid.of("distill")), grid.baseline or {}
    compared = (by_setting(groups, baseline), overall(groups, baseline)) if baseline else ([], [])
    return [VerbGroups("distill", groups, varying(groups), *compared)]


def test_a_gain_is_within_noise_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_grid(tmp_path / "noise")
    grid = read_grid_folder(tmp_path / "noise")
    found = findings_of(grid, students(grid))
    # means of both methods per seed: 1.5, 0.5, 3; mean 1.67, std 1.2583, t(0.975, 2) = 4.3027
    assert found == [
        "brier, last over cross_entropy, last: +1.67 points of test accuracy [-1.46, +4.79] over 2 settings, 3 seeds: "
        "within noise.",
        "Setting by setting: 2 within noise.",
        "Highest mean test accuracy: brier, kd, 54.00 %. A rank is no test.",
    ]
    for method in GAIN:
        monkeypatch.setitem(GAIN, method, (0.20, 0.21, 0.22))
    write_grid(tmp_path / "clear")
    grid = read_grid_folder(tmp_path / "clear")
    assert findings_of(grid, students(grid))[0].endswith("3 seeds: better.")


def test_two_seeds_are_too_few(tmp_path: Path) -> None:
    write_grid(tmp_path, seeds=(0, 1))
    grid = read_grid_folder(tmp_path)
    found = findings_of(grid, students(grid))
    assert found[0].endswith("over 2 settings, 2 seeds: no interval: fewer than 3 seeds.")
    assert found[1] == "Setting by setting: 2 too few seeds."


def test_what_is_missing_is_noted(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (tmp_path / "cells" / "distill-brier-kd-1" / "result.json").unlink()
    grid = read_grid_folder(tmp_path)
    assert notes_of(grid, students(grid)) == [
        "Of 18 cells: 1 unfinished. They are listed below, and no number includes them.",
        "Students: 1 of 2 comparisons lack pairs; the column pairs says how many.",
    ]


def test_a_grid_without_a_baseline(tmp_path: Path) -> None:
    write_grid(tmp_path, compare={"baseline": None, "over": "seed"})
    grid = read_grid_folder(tmp_path)
    assert notes_of(grid, students(grid)) == ["The grid names no baseline (compare: baseline), so nothing is compared."]
    assert findings_of(grid, students(grid)) == ["Highest mean test accuracy: brier, kd, 54.00 %. A rank is no test."]


def test_before_the_first_run_is_done(tmp_path: Path) -> None:
    values = write_grid(tmp_path)
    for cell in values["cells"]:
        (tmp_path / cell["run"] / "result.json").unlink()
    grid = read_grid_folder(tmp_path)
    assert findings_of(grid, students(grid)) == ["No run is done yet."]
    assert subtitle_of(grid) == "12 students, 6 teachers; 3 seeds; pair convnet_m -> convnet_s; stop_at last."


def test_the_size_of_the_grid(tmp_path: Path) -> None:
    write_grid(tmp_path)
    assert "12 students, 6 teachers; 3 seeds; 10 test samples" in subtitle_of(read_grid_folder(tmp_path))
