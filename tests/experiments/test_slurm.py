"""Cells as SLURM jobs, against stand-ins of sbatch and squeue that write down what they are given: no cluster is here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grids import small_grid
from preceptor.cli import main
from preceptor.errors import RunError, UsageError
from preceptor.experiments.grid import Grid, open_grid
from preceptor.experiments.slurm import parse_options, submit
from preceptor.experiments.store import CellState, Store

SBATCH = """#!/bin/bash
[ -e refuse ] && { echo "sbatch: error: invalid partition" >&2; exit 1; }
echo "$@" >> calls
echo "$((100 + $(wc -l < calls)));cluster"
"""
SQUEUE = """#!/bin/bash
cat queue
"""
STUDENTS = {"method": ["kd", "dkd"]}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    """A grid of two teachers with two students each, where SLURM's commands are."""
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "queue").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return open_grid(small_grid(tmp_path, seed=[0, 1], distill=STUDENTS))


def calls() -> list[list[str]]:
    """Return the words of each call of sbatch."""
    return [line.split() for line in Path("calls").read_text().splitlines()]


def test_teachers_are_one_array_and_the_students_of_each_another_after_it(made: Grid) -> None:
    store = Store(made.folder)
    sent = submit(made.cells, store, made.out, parse_options("partition=gpu,time=2:00:00"), name="g", at_a_time=8)
    assert (sent.jobs, sent.cells, sent.queued) == (("101", "102", "103"), 6, 0)
    first, second, third = calls()
    assert first[:-1] == ["--parsable", "--array=0-1%8"]
    after = ["--parsable", "--array=0-1%8", "--dependency=afterok:101_0", "--kill-on-invalid-dep=yes"]
    assert second[:-1] == after
    assert third[2] == "--dependency=afterok:101_1"
    script = Path(first[-1]).read_text().splitlines()
    assert script[0] == "#!/bin/bash"
    assert {"#SBATCH --partition=gpu", "#SBATCH --time=2:00:00", "#SBATCH --job-name=g"} <= set(script)
    assert "#SBATCH --signal=B:TERM@120" in script
    assert script[-1].endswith(
        "-m preceptor.experiments.task " + str(Path(first[-1]).with_suffix(".json")) + ' "$SLURM_ARRAY_TASK_ID"'
    )
    teacher = made.cells[0]
    assert store.state(teacher).where == "slurm 101_0"


def test_a_script_starts_the_task_of_its_number(made: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "echo")
    submit(made.cells, Store(made.folder), made.out, (), name="g")
    script = Path(calls()[0][-1])
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "1"}
    done = subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["-m", "preceptor.experiments.task", str(script.with_suffix(".json")), "1"]


def test_what_is_done_or_in_the_queue_is_not_submitted_again(made: Grid) -> None:
    store = Store(made.folder)
    submit(made.cells, store, made.out, (), name="g")
    Path("queue").write_text("101_0\n101_1\n103_0\n")
    Path("calls").unlink()
    sent = submit(made.cells, store, made.out, (), name="g")
    assert (sent.cells, sent.queued) == (3, 3)
    assert [call[1:3] for call in calls()] == [
        ["--array=0-1", "--dependency=afterok:101_0"],
        ["--array=0-0", "--dependency=afterok:101_1"],
    ]
    teacher = made.cells[0]
    teacher.run.mkdir()
    for name in ("config.yaml", "result.json"):
        (teacher.run / name).touch()
    Path("queue").write_text("")
    Path("calls").unlink()
    assert submit(made.cells, store, made.out, (), name="g").cells == 5
    assert [call[1] for call in calls()] == ["--array=0-2", "--array=0-1"]  # its students wait for nothing


def test_what_slurm_refuses_is_told(made: Grid) -> None:
    Path("refuse").touch()
    with pytest.raises(RunError, match="sbatch: sbatch: error: invalid partition"):
        submit(made.cells, Store(made.folder), made.out, ("--partition=x",), name="g")


def test_a_cell_that_runs_here_is_not_submitted(made: Grid) -> None:
    store = Store(made.folder)
    lock = store.lock(made.cells[0])
    assert lock is not None
    store.write_state(made.cells[0], CellState("running"))
    with pytest.raises(UsageError, match="another process runs it; wait for it, or stop it"):
        submit(made.cells, store, made.out, (), name="g")
    lock.close()


@pytest.mark.usefixtures("made")
def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import yaml  # noqa: PLC0415

    (tmp_path / "g.yaml").write_text(yaml.safe_dump(small_grid(tmp_path)))
    assert main(["grid", "g.yaml", "--slurm", "partition=gpu"]) == 0
    assert capsys.readouterr().out == (
        "Submitted 2 cells as 2 arrays (101, 102); 0 were in the queue; --status shows where they stand\n"
    )
    assert (tmp_path / "grid" / "grid.json").exists()
    assert main(["grid", "g.yaml", "--slurm", "array=3"]) == 2
    assert capsys.readouterr().err == "error: --slurm array: is set by the grid\n"
    assert main(["grid", "g.yaml", "--slurm", "", "--ray", "auto"]) == 2
    assert capsys.readouterr().err == "error: --slurm and --ray: one of them\n"


def test_where_there_is_no_slurm_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    made = open_grid(small_grid(tmp_path))
    with pytest.raises(UsageError, match="--slurm: there are no commands sbatch and squeue here"):
        submit(made.cells, Store(made.folder), made.out, (), name="g")
