"""Cells as processes of this machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from grids import cell
from preceptor.errors import UsageError
from preceptor.experiments import local
from preceptor.experiments.executor import Job, Launch
from preceptor.experiments.local import Local, places
from preceptor.experiments.store import Store

SLEEPS = "import sys, time; print('up', flush=True); time.sleep(60)"
TELLS = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ['OMP_NUM_THREADS'])"


@pytest.mark.parametrize(
    ("jobs", "gpus", "per_gpu", "ranks", "expected"),
    [
        (None, [], 1, 1, [()]),
        (3, [], 1, 2, [(), (), ()]),
        (None, ["0", "1"], 2, 1, [("0",), ("1",), ("0",), ("1",)]),
        (3, ["0", "1"], 2, 1, [("0",), ("1",), ("0",)]),
        (None, ["0", "1", "2", "3", "4"], 1, 2, [("0", "1"), ("2", "3")]),
    ],
)
def test_a_place_for_each_cell_that_runs_at_a_time(
    jobs: int | None, gpus: list[str], per_gpu: int, ranks: int, expected: list[tuple[str, ...]]
) -> None:
    assert places(jobs, gpus, per_gpu, ranks) == expected


def test_a_cell_of_more_processes_than_gpus_is_told() -> None:
    with pytest.raises(UsageError, match="--gpus: 1 of them for cells of 2 processes; each process needs one"):
        places(None, ["0"], 1, 2)


def started(executor: Local, store: Store, number: int, code: str, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Start a process of Python in a cell's place."""
    monkeypatch.setattr(local, "argv", lambda command, ranks: [sys.executable, "-c", code])
    own = cell(store.folder, number)
    lock = store.lock(own)
    assert lock is not None
    job = executor.start(Launch(own, own.command(), store.log(own), lock))
    lock.close()  # as when the grid's process dies
    return job


def wait_for(path: Path, text: str) -> None:
    """Wait until a file holds a text."""
    while not (path.exists() and text in path.read_text()):
        time.sleep(0.02)


def test_a_process_holds_its_cells_lock_and_its_place_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, executor = Store(tmp_path), Local([()])
    job = started(executor, store, 0, SLEEPS, monkeypatch)
    assert store.is_running(cell(tmp_path, 0))
    assert (executor.size, executor.has_room(0)) == (1, False)
    wait_for(store.log(cell(tmp_path, 0)), "up")
    job.stop()
    while job.poll() is None:
        time.sleep(0.02)
    assert job.poll() == -signal.SIGTERM
    assert not store.is_running(cell(tmp_path, 0))
    assert (executor.has_room(0), executor.has_room(1)) == (True, False)


def test_each_has_its_gpu_and_its_threads_and_can_be_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, executor = Store(tmp_path), Local(places(None, ["3", "5"], 1, 1), threads=7)
    jobs = [started(executor, store, number, TELLS + "; import time; time.sleep(60)", monkeypatch) for number in (0, 1)]
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    assert [job.where for job in jobs] == ["local, GPU 3", "local, GPU 5"]
    for job in jobs:
        job.kill()
        while job.poll() is None:
            time.sleep(0.02)
        assert job.poll() == -signal.SIGKILL
        job.kill()  # once more does no harm
    again = started(executor, store, 2, TELLS, monkeypatch)
    while again.poll() is None:
        time.sleep(0.02)
    assert store.log(cell(tmp_path, 2)).read_text() == "3 7\n"
    assert os.environ.get("CUDA_VISIBLE_DEVICES") is None
