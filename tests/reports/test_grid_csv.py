from __future__ import annotations

import csv
import io
from pathlib import Path

from preceptor.reports.grid_csv import as_csv
from preceptor.reports.grid_folder import read_grid_folder
from small_grid import write_grid


def test_a_row_per_cell_also_of_those_without_a_result(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (tmp_path / "cells" / "teach-brier-0" / "result.json").unlink()
    rows = {row["cell"]: row for row in csv.DictReader(io.StringIO(as_csv(read_grid_folder(tmp_path))))}
    assert len(rows) == 18
    student = rows["distill-brier-kd-2"]
    assert (student["choice.method"], student["choice.objective"], student["seed"]) == ("kd", "brier", "2")
    assert float(student["test.accuracy"]) == 0.5 + 0.02 + 0.04
    assert (student["tested_epoch"], student["best_epoch"], student["teacher"]) == ("2", "1", "teach-brier-2")
    assert student["command"] == "preceptor distill seed=2 out=distill-brier-kd-2"
    lost = rows["teach-brier-0"]
    assert (lost["status"], lost["error"], lost["test.accuracy"]) == (
        "unfinished",
        "no result.json; epochs done: 0",
        "",
    )
