"""Cells as SLURM jobs: an array for all cells that need the same ones, and `afterok` between them.

Each task is a process of `preceptor.experiments.task`, which keeps the cell's lock, its state and its log, so that a submitted
grid has the status of any other. Tested against stand-ins of `sbatch` and `squeue`, not on a cluster.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from preceptor.errors import RunError, UsageError
from preceptor.experiments.cells import Cell
from preceptor.experiments.store import Store
from preceptor.experiments.task import write_tasks
from preceptor.files import write_text
from preceptor.messages import first_line

__all__ = ["Submitted", "parse_options", "submit"]

_SAVES_SECONDS = 120  # before the time limit: cells save and end
_PREFIX = "slurm "


@dataclass(frozen=True, slots=True)
class Submitted:
    """What was submitted.

    Attributes:
        jobs: numbers of the arrays.
        cells: how many cells are in them.
        queued: how many were in the queue, or running, before.
    """

    jobs: tuple[str, ...]
    cells: int
    queued: int


def parse_options(text: str) -> tuple[str, ...]:
    """Return the options of sbatch that a word stands for.

    Raises:
        UsageError: for an option that the grid sets itself.

    Examples:
        >>> parse_options("partition=gpu,time=2:00:00,exclude=n[1,2],exclusive")
        ('--partition=gpu', '--time=2:00:00', '--exclude=n[1,2]', '--exclusive')
    """
    options = tuple(f"--{word.strip().lstrip('-')}" for word in re.split(r",(?![^\[]*\])", text) if word.strip())
    for option in options:
        name = option.lstrip("-").partition("=")[0]
        if name in {"array", "dependency", "parsable", "job-name", "output", "error", "signal"}:
            raise UsageError(f"--slurm {name}: is set by the grid")
    return options


def submit(
    cells: Sequence[Cell],
    store: Store,
    folder: Path,
    options: Sequence[str],
    *,
    name: str,
    ranks: int = 1,
    at_a_time: int | None = None,
) -> Submitted:
    """Submit the cells that are neither done nor in the queue.

    Args:
        cells: each after those it needs.
        store: their folder, which every node must see under this path.
        folder: where the scripts go.
        options: of sbatch, for every job.
        name: of the jobs.
        ranks: processes of a cell, on one node.
        at_a_time: tasks of one array that run at a time, at most.

    Raises:
        UsageError: where there is no SLURM.
        RunError: when sbatch refuses.
    """
    if shutil.which("sbatch") is None or shutil.which("squeue") is None:
        raise UsageError("--slurm: there are no commands sbatch and squeue here")
    queue = _queue()
    tasks: dict[str, str] = {}  # of cells that are in the queue: their task, as JOB_NUMBER
    groups: dict[tuple[str, ...], list[Cell]] = {}
    done = set()
    for cell in cells:
        where = store.state(cell).where or ""
        task = where.removeprefix(_PREFIX) if where.startswith(_PREFIX) else None
        if store.is_done(cell):
            done.add(cell.id)
        elif task in queue:
            tasks[cell.id] = str(task)
        elif store.is_running(cell):
            raise UsageError(f"{cell.id}: another process runs it; wait for it, or stop it")
        else:
            groups.setdefault(tuple(need for need in cell.needs if need not in done), []).append(cell)
    queued = len(tasks)
    jobs: list[str] = []
    scripts = folder / "slurm" / f"{datetime.now():%Y%m%d-%H%M%S}"
    for needs, group in groups.items():
        script = _write_script(scripts / f"{len(jobs)}", group, store, options, name=name, ranks=ranks)
        limit = f"%{at_a_time}" if at_a_time else ""
        words = ["sbatch", "--parsable", f"--array=0-{len(group) - 1}{limit}"]
        if needs:
            words += [f"--dependency=afterok:{':'.join(tasks[need] for need in needs)}", "--kill-on-invalid-dep=yes"]
        job = _run([*words, str(script)]).strip().partition(";")[0]
        jobs.append(job)
        for number, cell in enumerate(group):
            tasks[cell.id] = f"{job}_{number}"
            state = store.state(cell)
            store.write_state(cell, replace(state, state="queued", where=f"{_PREFIX}{tasks[cell.id]}", error=None))
    return Submitted(tuple(jobs), sum(map(len, groups.values())), queued)


def _write_script(
    base: Path, cells: Sequence[Cell], store: Store, options: Sequence[str], *, name: str, ranks: int
) -> Path:
    base.parent.mkdir(parents=True, exist_ok=True)
    tasks = base.with_suffix(".json")
    write_tasks(tasks, cells, ranks)
    settings: Mapping[str, str] = {
        "job-name": name,
        "output": f"{store.folder.absolute()}/slurm-%A_%a.out",
        "signal": f"B:TERM@{_SAVES_SECONDS}",
    }
    lines = ["#!/bin/bash", *(f"#SBATCH --{key}={value}" for key, value in settings.items())]
    lines += [f"#SBATCH {option}" for option in options]
    task = [sys.executable, "-m", "preceptor.experiments.task", str(tasks.absolute())]
    lines += [f"cd {shlex.quote(str(Path.cwd()))}", f'exec {shlex.join(task)} "$SLURM_ARRAY_TASK_ID"']
    script = base.with_suffix(".sh")
    write_text(script, "\n".join(lines) + "\n")
    return script


def _queue() -> set[str]:
    """Return the tasks of this user that are in the queue, waiting or running, as JOB_NUMBER."""
    return set(_run(["squeue", "--me", "--array", "--noheader", "--format=%F_%K"]).split())


def _run(words: Sequence[str]) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()) or first_line(error)
        raise RunError(f"{words[0]}: {said}") from error
