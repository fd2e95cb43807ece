"""Grids from Python."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import preceptor
from forked import Forked
from grids import FIXED, small_grid
from preceptor.experiments.executor import Job, Launch
from preceptor.experiments.stopping import GridStopped


def test_a_grid_is_listed_run_and_run_again_for_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = preceptor.grid(small_grid(tmp_path), run=False)
    assert isinstance(made, preceptor.Grid)
    assert not made.out.exists()
    executor = Forked()
    assert preceptor.grid(made, executor=executor) is made
    assert [command[1] for command in executor.commands] == ["teach", "distill"]
    assert set(made.stands().values()) == {"done"}
    assert "[2 of 2]" in capfd.readouterr().err
    (student,) = [each for each in json.loads((made.out / "grid.json").read_text())["cells"] if each["needs"]]
    record = json.loads((made.out / student["run"] / "result.json").read_text())
    assert record["teacher_fingerprint"] is not None
    again = Forked()
    preceptor.grid(small_grid(tmp_path), executor=again, progress=False)
    assert again.commands == []


def test_failed_cells_are_told_when_the_others_are_done(tmp_path: Path) -> None:
    wrong = {"data": "npz:nowhere.npz", **{key: value for key, value in FIXED.items() if key != "data"}}
    file = small_grid(tmp_path, fixed=wrong)
    with pytest.raises(
        preceptor.RunError, match=r"1 of 2 cells failed, 1 that need them did not run; first teach-\w+: .*nowhere"
    ):
        preceptor.grid(file, executor=Forked(), progress=False)
    with pytest.raises(preceptor.RunError, match=r"--retry runs them again"):
        preceptor.grid(file, executor=Forked(), progress=False, retry=True)


class Signalled(Forked):
    """Gets SIGTERM when the first cell starts."""

    def start(self, launch: Launch) -> Job:
        """Start a cell."""
        job = super().start(launch)
        os.kill(os.getpid(), signal.SIGTERM)
        return job


def test_a_stopped_grid_says_so(tmp_path: Path) -> None:
    with pytest.raises(GridStopped, match=r"stopped with 0 of 2 cells done; the same command continues") as error:
        preceptor.grid(small_grid(tmp_path), executor=Signalled(), progress=False)
    assert error.value.exit_code == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"only": {"method": "dkd"}}, "--only method=dkd: matches no cell"),
        ({"gpus": [0], "ranks": 2}, "--gpus: 1 of them for cells of 2 processes"),
    ],
)
def test_wrong_arguments_are_told(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(preceptor.UsageError, match=message):
        preceptor.grid(small_grid(tmp_path), **arguments)


def test_changes_go_with_a_file(tmp_path: Path) -> None:
    made = preceptor.grid(small_grid(tmp_path), run=False, changes={"seed": [1, 2], "epochs": 1})
    assert len(made.cells) == 4
    with pytest.raises(preceptor.UsageError, match="changes: go with a file, not with a Grid"):
        preceptor.grid(made, changes={"seed": 1})
