"""A grid on a real Ray of this machine with two workers, one of which is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import preceptor
from forked import Forked
from grids import FIXED
from preceptor.experiments.grid import Grid, open_grid
from preceptor.experiments.ray_cluster import RayCluster

ray: Any = pytest.importorskip("ray", reason="Ray is not installed: pip install 'preceptor[ray]'")

FILE = {"fixed": {**FIXED, "epochs": 60}, "teach": {"objective": "soteacher", "model": "convnet_s"}, "seed": [0, 1]}


@pytest.fixture
def _two_workers() -> Iterator[None]:
    ray.init(num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def weights(grid: Grid) -> list[bytes]:
    """Return the weights of its runs."""
    return [(cell.run / "model.safetensors").read_bytes() for cell in grid.cells]


def kill_a_worker(grid: Grid, killed: list[int]) -> None:
    """Kill the worker whose cell has saved first, while that trains."""
    run = grid.cells[0].run
    while not (run / "checkpoint" / "last.pt").exists():
        time.sleep(0.02)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if f"out={run}".encode() in words:
                parent = next(line for line in (entry / "status").read_text().splitlines() if line.startswith("PPid"))
                killed.append(int(parent.split()[1]))
                os.kill(killed[0], signal.SIGKILL)
                return


@pytest.mark.skipif(not Path("/proc").exists(), reason="the worker is found by /proc")
@pytest.mark.usefixtures("_two_workers")
def test_the_cell_of_a_killed_worker_runs_again_to_the_same_bits(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    executor = RayCluster("auto")
    assert (executor.size, RayCluster("auto", cpus=0.5).size, RayCluster("auto", jobs=1).size) == (2, 4, 1)
    with pytest.raises(preceptor.UsageError, match="no cell fits the cluster: it takes 1 CPUs and 1 GPUs"):
        RayCluster("auto", gpus=1)
    grid = open_grid({**FILE, "out": str(tmp_path / "g")})
    killed: list[int] = []
    thread = threading.Thread(target=kill_a_worker, args=(grid, killed))
    thread.start()
    preceptor.grid(grid, executor=executor)
    thread.join()
    said = capfd.readouterr().err
    assert killed
    assert f"again    {grid.cells[0].id}" in said
    whole = preceptor.grid({**FILE, "out": str(tmp_path / "whole" / "g")}, executor=Forked(), progress=False)
    assert weights(grid) == weights(whole)


def test_a_cluster_that_does_not_answer_is_told() -> None:
    with pytest.raises(preceptor.UsageError, match=r"--ray auto: no cluster answers there"):
        RayCluster("auto")
