"""A grid of 2 x 2 x 2 x 3 on digits, and what kills leave of one: nothing but the same bits."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import preceptor
from forked import Forked
from grids import FIXED, small_grid
from preceptor.experiments.grid import Grid, open_grid
from preceptor.experiments.store import Store
from started import run, start

FILE = {
    "fixed": {**FIXED, "epochs": 3},
    "seed": [0, 1, 2],
    "pair": [{"teacher.model": "convnet_s", "model": "mlp"}],
    "teach": {"objective": ["cross_entropy", "brier"], "stop_at": ["last", "best_val_nll"]},
    "distill": {"method": ["kd", "dkd"]},
    "compare": {"baseline": {"objective": "cross_entropy", "stop_at": "last"}, "over": "seed"},
}


def weights(grid: Grid) -> dict[str, bytes]:
    """Return the weights that each run ends with, by cell."""
    return {cell.id: (cell.run / "model.safetensors").read_bytes() for cell in grid.cells if cell.verb != "label"}


def test_a_grid_of_two_by_two_by_two_by_three(tmp_path: Path) -> None:
    executor = Forked()
    made = preceptor.grid({**FILE, "out": str(tmp_path / "g")}, executor=executor, progress=False)
    assert Counter(command[1] for command in executor.commands) == {"teach": 2 * 3, "distill": 2 * 2 * 2 * 3}
    values = json.loads((tmp_path / "g" / "grid.json").read_text())
    for cell in values["cells"]:
        record = json.loads((tmp_path / "g" / cell["run"] / "result.json").read_text())
        assert (record["kind"], record["seed"]) == (cell["verb"], cell["seed"])
    # a student of a kept epoch is that of a teacher of its own which ends there
    apart = {**FILE, "seed": 0, "teach": {"objective": "brier"}, "distill": {"method": "kd"}, "compare": {}}
    other = preceptor.grid({**apart, "out": str(tmp_path / "other" / "g")}, executor=Forked(), progress=False)
    student = next(cell for cell in other.cells if cell.verb == "distill")
    assert weights(other)[student.id] == weights(made)[student.id]
    assert next(cell for cell in other.cells if cell.verb == "teach").id not in weights(made)


def test_stored_outputs_are_shared_by_students_of_any_seed_of_one_teacher(tmp_path: Path) -> None:
    file = small_grid(tmp_path, label={"views": 1}, distill={"method": ["kd", "dkd"]})
    executor = Forked()
    preceptor.grid(file, executor=executor, progress=False)
    assert [command[1] for command in executor.commands] == ["teach", "label", "distill", "distill"]


def when(is_so: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


LONGER = {"fixed": {**FIXED, "epochs": 40}, "teach": {"objective": "soteacher", "model": "convnet_s"}, "seed": [0, 1]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The weights that these runs end with when nothing is killed."""
    out = tmp_path_factory.mktemp("whole") / "g"
    return weights(preceptor.grid({**LONGER, "out": str(out)}, executor=Forked(), progress=False))


def written(folder: Path) -> tuple[Path, Grid]:
    """Return the file of those runs, and its grid."""
    path = folder / "g.yaml"
    path.write_text(yaml.safe_dump({**LONGER, "out": str(folder / "g")}))
    return path, open_grid(path)


def test_a_killed_cell_and_a_killed_grid_end_with_the_same_bits(tmp_path: Path, whole: dict[str, bytes]) -> None:
    path, grid = written(tmp_path)
    store, (first, second) = Store(grid.folder), grid.cells
    words = ["grid", str(path), "--jobs", "2", "--threads", "1"]
    process = start(words)
    when(lambda: (first.run / "checkpoint" / "last.pt").exists() and (second.run / "checkpoint" / "last.pt").exists())
    pid = store.state(first).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)  # the grid resumes it
    when(lambda: store.state(first).attempts == 2)
    process.kill()  # the grid itself; its cells go on, and the next grid waits for them
    assert store.is_running(first)
    done = run(words, check=True)
    assert "wait " in done.stderr
    assert weights(grid) == whole


def test_a_stopped_grid_has_saved_its_cells(tmp_path: Path, whole: dict[str, bytes]) -> None:
    path, grid = written(tmp_path)
    (first, _) = grid.cells
    process = start(["grid", str(path), "--threads", "1"])
    when((first.run / "checkpoint" / "last.pt").exists)
    process.send_signal(signal.SIGINT)
    stopped = process.finish()
    assert (stopped.returncode, Store(grid.folder).status(first)) == (130, "queued")
    assert "\nstopped with 0 of 2 cells done; the same command continues from here" in stopped.stderr
    assert "interrupted in epoch" in Store(grid.folder).last_words(first)
    preceptor.grid(grid, executor=Forked(), progress=False)
    assert weights(grid) == whole
