"""What runs cells: each a process of its own, somewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from preceptor.experiments.cells import Cell

__all__ = ["Executor", "Job", "Launch", "argv", "cell_environment", "threads_of"]


@dataclass(frozen=True, slots=True)
class Launch:
    """How a cell is started.

    Attributes:
        cell: that is started.
        command: of the cell, "preceptor" first.
        log: the file that its output is added to.
        lock: is held for as long as the cell's process lives.
    """

    cell: Cell
    command: Sequence[str]
    log: Path
    lock: TextIO


class Job(Protocol):
    """A started cell."""

    @property
    def pid(self) -> int | None:
        """Its process, where that is on this machine."""

    @property
    def where(self) -> str:
        """What runs it, for the user."""

    def poll(self) -> int | None:
        """Return its exit status, or None while it runs; minus the signal that killed it."""

    def stop(self) -> None:
        """Ask it to save and end."""

    def kill(self) -> None:
        """End it at once."""


class Executor(Protocol):
    """Starts cells, as many at a time as there is room for."""

    @property
    def size(self) -> int:
        """How many cells it runs at a time."""

    def has_room(self, others: int) -> bool:
        """Return whether one more cell may start.

        Args:
            others: cells that run on this machine though the grid that started them is gone.
        """

    def start(self, launch: Launch) -> Job:
        """Start a cell."""

    def close(self) -> None:
        """Release what it holds; no cell runs any more."""


def argv(command: Sequence[str], ranks: int) -> list[str]:
    """Return the words of a process that runs a command of `preceptor` with this Python, alone or by torchrun.

    Examples:
        >>> argv(["preceptor", "teach", "data=digits"], 2)[1:]
        ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', '-m', 'preceptor', 'teach', 'data=digits']
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    return [sys.executable, *torchrun, "-m", *command]


def threads_of(places: int, ranks: int) -> int:
    """Return the threads of each process where this machine's processors are divided among them."""
    return max((os.cpu_count() or 1) // (places * ranks), 1)


def cell_environment(threads: int) -> Mapping[str, str]:
    """Return the environment of a cell's process: so many threads, and no page of its own.

    Cells share a machine, so that latencies would mean nothing; the grid has a page, and `preceptor report RUN` makes a run's.
    """
    return {"PRECEPTOR_REPORT": "0"} | dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)
    )
