"""What would run, how long, how much disk."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from grids import cell
from preceptor.experiments.cells import Cell
from preceptor.experiments.dry_run import Guess, dry_run
from preceptor.experiments.store import CellState, Store


def test_times_are_measured_where_a_cell_of_the_kind_is_done_and_else_estimated(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cells = [cell(tmp_path, 0), cell(tmp_path, 1)]
    cells += [cell(tmp_path, number, teacher="teach-0") for number in (2, 3)]
    cells[0].run.mkdir()
    (cells[0].run / "config.yaml").touch()
    (cells[0].run / "result.json").write_bytes(b"x" * 2**21)
    store.write_state(cells[0], CellState("done", seconds=60.0, kind="teach"))
    asked: list[str] = []

    def guesses(unknown: Sequence[Cell], by_id: Mapping[str, Cell]) -> dict[str, Guess]:
        asked.extend(each.id for each in unknown)
        assert set(by_id) == {each.id for each in cells}
        return {"distill": Guess(30.0, 2**30)}

    text = io.StringIO()
    Console(file=text, width=200).print(dry_run(cells, store, guesses, 2))
    assert asked == ["distill-2", "distill-3"]
    lines = [line.split() for line in text.getvalue().splitlines()]
    assert lines[1] == ["teach", "2", "1", "0:01:00", "0:01:00", "2", "MiB"]
    assert lines[2] == ["distill", "2", "0", "0:00:30", "0:01:00", "2.0", "GiB"]
    assert " ".join(lines[3]) == "0:01:00 with 2 at a time, 2.0 GiB of disk"
    assert " ".join(lines[4]).startswith("2 of these times are estimated")
    assert " ".join(lines[5]) == "1 cells are made once for 2 others"
