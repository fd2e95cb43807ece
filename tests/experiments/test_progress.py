"""What a grid shows."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from rich.console import Console

from grids import cell
from preceptor.experiments.expected import Pace
from preceptor.experiments.progress import Lines, LiveTable, Quiet, status_table
from preceptor.experiments.schedule import Progress
from preceptor.experiments.store import CellState, Store


def console(*, is_terminal: bool = False) -> tuple[Console, io.StringIO]:
    """Return a console and what is written to it."""
    text = io.StringIO()
    return Console(file=text, force_terminal=is_terminal, width=150, color_system=None), text


def test_a_line_per_event(tmp_path: Path) -> None:
    cells, (out, text) = [cell(tmp_path, number) for number in range(3)], console()
    with Lines(cells, out) as lines:
        lines.refresh(Progress({"teach-0": "done", "teach-1": "waiting", "teach-2": "waiting"}, {}))
        lines.started(cells[1], "local")
        lines.ended(cells[1], "done", "")
        lines.ended(cells[2], "failed", "no disk")
        lines.ended(cells[2], "waiting", "was killed (SIGKILL)")
        lines.stopped(cells[2])
    written = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in text.getvalue().splitlines()]
    assert written == [
        "start    teach-1  teach brier, seed 1  (local)",
        "done     teach-1  teach brier, seed 1  0:00:00  [2 of 3]",
        "failed   teach-2  teach brier, seed 2: no disk",
        "again    teach-2  teach brier, seed 2: was killed (SIGKILL)",
        "stopped  teach-2  teach brier, seed 2",
    ]


def test_a_table_with_epochs_counts_and_the_time_left(tmp_path: Path) -> None:
    cells, (out, text) = [cell(tmp_path, number, epochs=5) for number in range(3)], console(is_terminal=True)
    cells[0].run.mkdir()
    row = {"epoch": 2, "seconds": 6.0, "validation": {"accuracy": 0.875}}
    (cells[0].run / "metrics.jsonl").write_text(json.dumps(row))
    with LiveTable(cells, Pace(Store(tmp_path), {"teach": 20.0}), 1, out) as table:
        table.started(cells[0], "local")
        table.refresh(Progress({"teach-0": "running", "teach-1": "waiting", "teach-2": "failed"}, {"teach-0": 0.0}))
        table.ended(cells[2], "failed", "no disk")
        table.ended(cells[0], "done", "")
        table.refresh(Progress(dict.fromkeys(("teach-0", "teach-1"), "done"), {}))
    written = text.getvalue()
    assert "2 / 5" in written
    assert "87.5" in written
    assert "done 0   running 1   waiting 1   failed 1   of 3   left 0:00:29" in written
    assert "failed: teach-2  teach brier, seed 2: no disk" in written
    assert "done 2   of 2   left 0:00:00" in written


def test_where_nothing_is_shown_nothing_happens(tmp_path: Path) -> None:
    with Quiet() as quiet:
        quiet.started(cell(tmp_path), "local")
        quiet.ended(cell(tmp_path), "failed", "x")
        quiet.stopped(cell(tmp_path))
        quiet.refresh(Progress({}, {}))


def test_status_names_what_runs_and_what_failed(tmp_path: Path) -> None:
    store, cells = Store(tmp_path), [cell(tmp_path, 0), cell(tmp_path, 1, teacher="teach-0"), cell(tmp_path, 2)]
    store.write_state(cells[0], CellState("failed", error="no disk"))
    store.write_state(cells[2], CellState("running", pid=5, host="node", where="local"))
    lock, (out, text) = store.lock(cells[2]), console()
    out.print(status_table(cells, store), soft_wrap=True)
    assert lock is not None
    lock.close()
    written = " ".join(text.getvalue().split())
    assert "failed teach-0 teach brier, seed 0 no disk" in written
    assert "running teach-2 teach brier, seed 2 local, process 5 on node" in written
    assert written.endswith("done 0 running 1 failed 1 blocked 1 of 3")
