"""One cell by itself, as a job of a cluster runs it: `python -m preceptor.experiments.task CELLS.json NUMBER`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from preceptor.console import open_console
from preceptor.documents import read_document
from preceptor.errors import UsageError
from preceptor.experiments.cells import Cell, Taught
from preceptor.experiments.choices import Scalar, Verb
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


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell as it stands in a file: all but its recipe."""

    id: str
    verb: Verb
    choices: dict[str, Scalar]
    values: dict[str, Any]
    seed: int
    words: tuple[str, ...]
    folder: str
    teacher: Taught | None
    labels: str | None
    kept: tuple[int, ...]
    epochs: int | None
    kind: str

    def cell(self) -> Cell:
        """Return the cell."""
        return Cell(**{**{each.name: getattr(self, each.name) for each in fields(self)}, "folder": Path(self.folder)})


@dataclass(frozen=True, slots=True)
class _Tasks:
    ranks: Annotated[int, Field(ge=1)]
    cells: list[_Cell]


def main(arguments: Sequence[str]) -> int:
    """Run a cell on this machine and return 0 if it is done, or if another process runs it.

    A cell that has failed before runs once more: submitting it says so.

    Args:
        arguments: file of the cells, and the number of this one.
    """
    tasks, number = read_document(Path(arguments[0]), _Tasks), int(arguments[1])
    if not 0 <= number < len(tasks.cells):
        raise UsageError(f"{arguments[0]}: has no cell {number}, but {len(tasks.cells)} cells")
    cell, ranks = tasks.cells[number].cell(), tasks.ranks
    store = Store(cell.folder)
    if store.is_running(cell):
        raise UsageError(f"{cell.id}: another process runs it")
    allotted = os.environ.get("SLURM_CPUS_PER_TASK")
    threads = threads_of(1, ranks) if allotted is None else max(int(allotted) // ranks, 1)
    with Stopping() as stopping, Lines([cell], open_console(stderr=True)) as lines:
        stands = run_cells([cell], store, Local([()], ranks, threads), lines, retry=True, stops=lambda: stopping.count)
    return 0 if stands[cell.id] == "done" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
