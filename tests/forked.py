"""Cells of a grid as processes forked from a server that has imported the library once."""

from __future__ import annotations

import signal
from pathlib import Path

from preceptor.experiments.executor import Job, Launch
from started import Started, start

__all__ = ["Forked"]


class _Forked:
    where = "forked"

    def __init__(self, started: Started, log: Path) -> None:
        self._started = started
        self._log: Path | None = log

    @property
    def pid(self) -> int | None:
        return self._started.processes[0].pid

    def poll(self) -> int | None:
        code = self._started.poll()
        if code is not None and self._log is not None:
            self._log.write_text(self._started.finish().stderr)
            self._log = None
        return code

    def stop(self) -> None:
        self._started.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._started.kill()


class Forked:
    """Runs cells in forked processes.

    Args:
        size: how many at a time.
    """

    def __init__(self, size: int = 2) -> None:
        self.size = size
        self.commands: list[list[str]] = []
        self._jobs: list[_Forked] = []

    def has_room(self, others: int) -> bool:
        """Return whether another one may start."""
        return sum(job.poll() is None for job in self._jobs) + others < self.size

    def start(self, launch: Launch) -> Job:
        """Start a cell."""
        self.commands.append(list(launch.command))
        job = _Forked(start(launch.command[1:]), launch.log)
        self._jobs.append(job)
        return job

    def close(self) -> None:
        """Nothing to release."""
