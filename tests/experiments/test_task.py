"""One cell as a job of a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forked import Forked
from grids import cell, small_grid
from preceptor.errors import UsageError
from preceptor.experiments import task
from preceptor.experiments.grid import open_grid
from preceptor.experiments.store import Store


def test_a_cell_is_written_run_and_run_again_when_it_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[object, ...]] = []

    def local(*arguments: object) -> Forked:
        asked.append(arguments)
        return Forked(1)

    monkeypatch.setattr(task, "Local", local)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "8")
    made = open_grid(small_grid(tmp_path))
    tasks = tmp_path / "tasks.json"
    task.write_tasks(tasks, made.cells, 2)
    assert task.main([str(tasks), "1"]) == 1  # the student's teacher is not there
    assert "failed " in capfd.readouterr().err
    assert [task.main([str(tasks), number]) for number in "01"] == [0, 0]
    assert asked == [([()], 2, 4)] * 3
    assert set(made.stands().values()) == {"done"}


def test_a_cell_that_runs_elsewhere_is_told(tmp_path: Path) -> None:
    store, own = Store(tmp_path), cell(tmp_path)
    tasks = tmp_path / "tasks.json"
    task.write_tasks(tasks, [own], 1)
    assert "recipe" not in json.loads(tasks.read_text())["cells"][0]
    lock = store.lock(own)
    assert lock is not None
    with pytest.raises(UsageError, match="teach-0: another process runs it"):
        task.main([str(tasks), "0"])
    lock.close()
