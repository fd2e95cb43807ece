"""What is read of a grid's folder: every cell, whatever became of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from preceptor.errors import UsageError
from preceptor.reports.grid_folder import read_grid_folder
from records import made_config, write_json
from small_grid import write_cell, write_grid


def test_cells_come_with_their_records(tmp_path: Path) -> None:
    write_grid(tmp_path)
    grid = read_grid_folder(tmp_path)
    assert (grid.name, len(grid.cells), len(grid.of("distill")), grid.is_grid) == ("small", 18, 12, True)
    assert grid.baseline == {"objective": "cross_entropy", "stop_at": "last"}
    student = next(cell for cell in grid.of("distill") if cell.seed == 2)
    assert student.record is not None
    assert (student.record.seed, student.status, student.stop_at) == (2, "done", "last")
    assert student.teacher == "teach-cross_entropy-2"


def test_a_teacher_without_its_own_key_is_the_one_that_is_needed(tmp_path: Path) -> None:
    values = write_grid(tmp_path, seeds=(0,))
    cells = [{key: value for key, value in cell.items() if key != "teacher"} for cell in values["cells"]]
    write_json(tmp_path / "grid.json", {**values, "cells": cells})
    assert [cell.teacher for cell in read_grid_folder(tmp_path).cells[:2]] == [None, "teach-cross_entropy-0"]


def test_unfinished_cells_are_there(tmp_path: Path) -> None:
    values = write_grid(tmp_path, seeds=(0,))
    failed, partial, damaged, absent = (tmp_path / cell["run"] for cell in values["cells"][:4])
    (failed / "result.json").unlink()
    write_json(tmp_path / "cells" / f"{failed.name}.state.json", {"state": "failed", "error": "out of memory"})
    (partial / "result.json").unlink()
    (partial / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo')  # killed while it wrote
    (damaged / "result.json").write_text("{")
    lost = tmp_path / values["cells"][4]["run"]
    (lost / "config.yaml").unlink()
    shutil.rmtree(absent)
    found = {cell.id: (cell.status, cell.error or "", cell.record) for cell in read_grid_folder(tmp_path).cells}
    assert len(found) == 6
    assert found[failed.name] == ("failed", "out of memory", None)
    assert found[partial.name] == ("unfinished", "no result.json; epochs done: 1", None)
    assert found[damaged.name][0] == "failed"
    assert "cannot be read" in found[damaged.name][1]
    assert found[absent.name] == ("not started", "", None)
    assert found[lost.name] == ("failed", f"{lost / 'config.yaml'} is missing", None)


def test_stored_labels_are_done_with_their_manifest(tmp_path: Path) -> None:
    values = write_grid(tmp_path, seeds=(0,))
    cell = {**values["cells"][0], "id": "label-0", "verb": "label", "run": "cells/label-0"}
    write_json(tmp_path / "grid.json", {**values, "cells": [cell]})
    assert read_grid_folder(tmp_path).cells[0].status == "not started"
    (tmp_path / "cells" / "label-0").mkdir()
    (tmp_path / "cells" / "label-0" / "manifest.json").write_text("{}")
    assert read_grid_folder(tmp_path).cells[0].status == "done"


def test_runs_without_a_grid(tmp_path: Path) -> None:
    write_cell(tmp_path / "a" / "t", 0.5, 3)
    write_cell(tmp_path / "a" / "t" / "stages" / "first", 0.5, 3)  # inside of a run
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "config.yaml").write_text(yaml.safe_dump(made_config("distill", seed=1, epochs=5)))
    grid = read_grid_folder(tmp_path)
    assert [(cell.id, cell.verb, cell.seed, cell.status) for cell in grid.cells] == [
        ("a/t", "teach", 3, "done"),
        ("s", "distill", 1, "unfinished"),
    ]
    assert grid.cells[1].choices == {"data": "digits", "model": "mlp", "method": "kd", "inputs": "real", "epochs": 5}
    assert (grid.is_grid, grid.baseline) == (False, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "grid.json: cannot be read"),
        ('{"format": 2}', "format: input should be 1, got 2"),
        ('{"format": 1, "name": "x", "cells": [{"id": "a"}]}', r"cells.0.verb: field required"),
        ("[]", "input should be an object"),
    ],
)
def test_a_damaged_grid_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "grid.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        read_grid_folder(tmp_path)


@pytest.mark.parametrize(("place", "message"), [("", "holds no grid.json and no run folder"), ("x", "no such folder")])
def test_nothing_to_report(tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_grid_folder(tmp_path / place)


def test_a_published_number_needs_its_source(tmp_path: Path) -> None:
    published: list[dict[str, Any]] = [{"where": {"method": "kd"}, "accuracy": 73.3}]
    write_grid(tmp_path, seeds=(0,), published=published)
    with pytest.raises(UsageError, match=r"published.0.source: field required"):
        read_grid_folder(tmp_path)
