"""Cells on this machine: so many at a time, each with its threads and its share of the GPUs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from preceptor.errors import UsageError
from preceptor.experiments.executor import Job, Launch, argv, cell_environment, threads_of

__all__ = ["Local", "places"]


def places(jobs: int | None, gpus: Sequence[str], per_gpu: int, ranks: int) -> list[tuple[str, ...]]:
    """Return the places for cells that run at a time, each with its GPUs.

    Args:
        jobs: how many at most; None: as many as the GPUs have places for, one without GPUs.
        gpus: as CUDA_VISIBLE_DEVICES names them; none: every cell sees what this process sees.
        per_gpu: cells on one GPU.
        ranks: processes of a cell, each on a GPU of its own.

    Raises:
        UsageError: when there are fewer GPUs than a cell has processes.

    Examples:
        >>> places(None, ["0", "1"], 2, 1)
        [('0',), ('1',), ('0',), ('1',)]
        >>> places(2, [], 1, 1)
        [(), ()]
    """
    if not gpus:
        return [()] * (jobs or 1)
    groups = [tuple(gpus[first : first + ranks]) for first in range(0, len(gpus) - ranks + 1, ranks)]
    if not groups:
        raise UsageError(f"--gpus: {len(gpus)} of them for cells of {ranks} processes; each process needs one")
    made = groups * per_gpu
    return made if jobs is None else made[:jobs]


class Local:
    """Runs cells as processes of this machine.

    Args:
        places: one for each cell that may run at a time, with its GPUs: see `places`.
        ranks: processes of each cell.
        threads: of each process; None: the processors divided among them.
    """

    def __init__(self, places: Sequence[tuple[str, ...]], ranks: int = 1, threads: int | None = None) -> None:
        self._free = list(places)
        self._ranks = ranks
        self._threads = threads or threads_of(len(places), ranks)
        self._jobs: list[_LocalJob] = []

    @property
    def size(self) -> int:
        """How many cells run at a time."""
        return len(self._free) + len(self._jobs)

    def has_room(self, others: int) -> bool:
        """Return whether a place is free."""
        self._collect()
        return len(self._free) > others

    def start(self, launch: Launch) -> Job:
        """Start a cell on the first free place."""
        self._collect()
        gpus = self._free.pop(0)
        visible = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
        with launch.log.open("ab") as log:
            process = subprocess.Popen(
                argv(launch.command, self._ranks),
                env={**os.environ, **cell_environment(self._threads), **visible},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(launch.lock.fileno(),),  # which holds the lock also when this process is gone
                start_new_session=True,  # Ctrl-C in the terminal reaches the grid, which tells its cells
            )
        job = _LocalJob(process, gpus)
        self._jobs.append(job)
        return job

    def close(self) -> None:
        """Nothing to release."""

    def _collect(self) -> None:
        for job in [job for job in self._jobs if job.poll() is not None]:
            self._jobs.remove(job)
            self._free.append(job.gpus)


@dataclass(frozen=True)
class _LocalJob:
    process: subprocess.Popen[bytes]
    gpus: tuple[str, ...]

    @property
    def pid(self) -> int | None:
        return self.process.pid

    @property
    def where(self) -> str:
        return f"local, GPU {','.join(self.gpus)}" if self.gpus else "local"

    def poll(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
