"""One cell by itself, as a job of a cluster runs it: `python -m preceptor.experiments.task CELLS.json NUMBER`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from preceptor.console import open_console
from preceptor.errors import UsageError
from preceptor.experiments.cells import Cell, Taught
from preceptor.experiments.executor import threads_of
from preceptor.experiments.local import Local
from preceptor.experiments.progress import Lines
from preceptor.experiments.schedule import run_cells
from preceptor.experiments.stopping import Stopping
from preceptor.experiments.store import Store
from preceptor.files import write_text

__all__ = ["main", "write_tasks"]


def write_tasks(path: Path, cells: Sequence[Cell], ranks: int) -> None:
    """Write the cells that the tasks of an array run, and how many processes each has."""
    values = [{name: value for name, value in asdict(cell).items() if name != "recipe"} for cell in cells]
    write_text(path, json.dumps({"ranks": ranks, "cells": values}, indent=1, default=str) + "\n")


def main(arguments: Sequence[str]) -> int:
    """Run a cell on this machine and return 0 if it is done, or if another process runs it.

    A cell that has failed before runs once more: submitting it says so.

    Args:
        arguments: file of the cells, and the number of this one.
    """
    tasks = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    cell, ranks = _cell(tasks["cells"][int(arguments[1])]), tasks["ranks"]
    store = Store(cell.folder)
    if store.is_running(cell):
        raise UsageError(f"{cell.id}: another process runs it")
    allotted = os.environ.get("SLURM_CPUS_PER_TASK")
    threads = threads_of(1, ranks) if allotted is None else max(int(allotted) // ranks, 1)
    with Stopping() as stopping, Lines([cell], open_console(stderr=True)) as lines:
        stands = run_cells([cell], store, Local([()], ranks, threads), lines, retry=True, stops=lambda: stopping.count)
    return 0 if stands[cell.id] == "done" else 1


def _cell(values: dict[str, Any]) -> Cell:
    known = {each.name: values[each.name] for each in fields(Cell) if each.name in values}
    taught = values["teacher"]
    return Cell(
        **{
            **known,
            "words": tuple(values["words"]),
            "kept": tuple(values["kept"]),
            "folder": Path(values["folder"]),
            "teacher": None if taught is None else Taught(**taught),
        }
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
