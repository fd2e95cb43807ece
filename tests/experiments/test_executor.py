"""How a cell's process is started."""

from __future__ import annotations

import os
import sys

from preceptor.experiments.executor import argv, cell_environment, threads_of


def test_a_cell_runs_under_this_python_alone_or_by_torchrun() -> None:
    assert argv(["preceptor", "teach", "data=digits"], 1) == [sys.executable, "-m", "preceptor", "teach", "data=digits"]
    several = argv(["preceptor", "teach"], 3)
    assert several[:6] == [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"]
    assert several[6:] == ["-m", "preceptor", "teach"]


def test_processors_are_divided(monkeypatch: object) -> None:
    cores = os.cpu_count() or 1
    assert threads_of(1, 1) == cores
    assert threads_of(cores, 1) == 1
    assert threads_of(cores, 8) == 1
    assert cell_environment(3)["OMP_NUM_THREADS"] == "3"
    assert cell_environment(3)["PRECEPTOR_REPORT"] == "0"
