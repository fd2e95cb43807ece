"""How long cells take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grids import cell
from preceptor.experiments.cells import Cell
from preceptor.experiments.expected import Pace, last_row, time_left
from preceptor.experiments.store import CellState, Store


def test_cells_take_as_long_as_those_of_their_kind_did(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number, seconds in enumerate((10.0, 20.0)):
        store.write_state(cell(tmp_path, number), CellState("done", seconds=seconds, kind="teach"))
    store.write_state(cell(tmp_path, 2), CellState("failed", seconds=1.0, kind="teach"))
    pace = Pace(store, {"distill": 7.0})
    assert (pace.seconds(cell(tmp_path)), pace.is_measured(cell(tmp_path))) == (15.0, True)
    student = cell(tmp_path, teacher="teach-0")
    assert (pace.seconds(student), pace.is_measured(student)) == (7.0, False)
    pace.add("distill", 9.0)
    assert pace.seconds(student) == 9.0
    assert Pace(store).seconds(student) is None


def with_rows(folder: Path, number: int, epoch: int, seconds: float, **fields: Any) -> Cell:
    """Return a cell that has some epochs behind it."""
    own = cell(folder, number, **fields)
    own.run.mkdir()
    (own.run / "metrics.jsonl").write_text(json.dumps({"epoch": epoch, "seconds": seconds}) + "\n")
    return own


def test_time_left_is_that_of_all_cells_over_the_places(tmp_path: Path) -> None:
    cells = [cell(tmp_path, number) for number in range(4)]
    pace = Pace(Store(tmp_path), {"teach": 10.0})
    assert time_left(cells, {}, pace, 2) == pytest.approx(20.0)
    assert time_left(cells, {"teach-0": 4.0}, pace, 1) == pytest.approx(36.0)
    assert time_left(cells[:1], {}, pace, 8) == pytest.approx(10.0)  # one cell is not shared


def test_a_running_cell_knows_its_own_pace(tmp_path: Path) -> None:
    own = with_rows(tmp_path, 0, 2, 6.0, epochs=5)
    assert time_left([own], {"teach-0": 6.5}, Pace(Store(tmp_path)), 1) == pytest.approx(9.0)


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    assert time_left([cell(tmp_path)], {}, Pace(Store(tmp_path)), 1) is None
    student = cell(tmp_path, 1, teacher="teach-0", kind="other")
    known = cell(tmp_path, 2, teacher="teach-0")
    assert time_left([student, known], {}, Pace(Store(tmp_path), {"distill": 3.0}), 1) == pytest.approx(6.0)


def test_the_last_epoch_is_read_where_there_is_one(tmp_path: Path) -> None:
    assert last_row(cell(tmp_path)) is None
    own = with_rows(tmp_path, 0, 2, 6.0)
    assert last_row(own) == {"epoch": 2, "seconds": 6.0}
    (tmp_path / "teach-0" / "metrics.jsonl").write_text('{"epoch": 3, "sec')
    assert last_row(own) is None
