"""Cells on a Ray cluster: each an actor that starts the cell's process on its node and looks after it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from preceptor.errors import UsageError
from preceptor.experiments.executor import Job, Launch, argv, cell_environment
from preceptor.experiments.supervisor import Supervisor
from preceptor.extras import import_extra

__all__ = ["RayCluster"]

_LOST = -signal.SIGKILL  # the status of a cell whose node or actor is gone: the schedule runs it again


class RayCluster:
    """Runs cells on a Ray cluster, whose nodes see the same files under the same paths.

    Args:
        address: of the cluster; "auto": the one that this machine belongs to.
        cpus: processors that a cell takes; Ray's accounting, and the cell's threads.
        gpus: GPUs that a cell takes, or a fraction of one.
        ranks: processes of each cell, on one node.
        jobs: cells at a time, at most; None: as many as the cluster has room for.

    Raises:
        UsageError: where Ray is not installed, no cluster is found, or it never has room for a cell.
    """

    def __init__(
        self, address: str, *, cpus: float = 1, gpus: float = 0, ranks: int = 1, jobs: int | None = None
    ) -> None:
        self._ray: Any = import_extra("ray", "ray", needed_by="--ray")
        self._cpus, self._gpus, self._ranks, self._most = cpus, gpus, ranks, jobs
        if not self._ray.is_initialized():
            try:
                self._ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise UsageError(f"--ray {address}: no cluster answers there ({str(error).splitlines()[0]})") from error
        self._jobs: list[_RayJob] = []
        if self.size == 0:
            raise UsageError(f"--ray: no cell fits the cluster: it takes {cpus:g} CPUs and {gpus:g} GPUs")

    @property
    def size(self) -> int:
        """How many cells run at a time on the nodes that there are now."""
        resources = self._ray.cluster_resources()
        room = [resources.get(name, 0) / each for name, each in (("CPU", self._cpus), ("GPU", self._gpus)) if each > 0]
        size = int(min(room, default=1) + 1e-6)
        return size if self._most is None else min(size, self._most)

    def has_room(self, others: int) -> bool:
        """Return whether the cluster has room for one more cell."""
        return sum(job.poll() is None for job in self._jobs) < self.size

    def start(self, launch: Launch) -> Job:
        """Start a cell on some node."""
        actor = self._ray.remote(num_cpus=self._cpus, num_gpus=self._gpus, max_restarts=0)(Supervisor)
        handle = actor.remote(str(launch.log.absolute()), str(Path.cwd()))
        threads = max(int(self._cpus) // self._ranks, 1)
        # the processes of torchrun, and preceptor itself, are found as they are here
        env = {**cell_environment(threads), **{key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}}
        job = _RayJob(self._ray, handle, handle.start.remote(argv(launch.command, self._ranks), env))
        self._jobs.append(job)
        return job

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


class _RayJob:
    """A cell's actor, asked without waiting for it."""

    where = "ray"
    pid = None  # it is on some node

    def __init__(self, ray: Any, handle: Any, started: Any) -> None:
        self._ray = ray
        self._handle = handle
        self._asked = started
        self._is_started = False
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the status, if the actor has answered that there is one."""
        if self._code is not None:
            return self._code
        ready, _ = self._ray.wait([self._asked], timeout=0)
        if ready:
            try:
                answer = self._ray.get(self._asked)
            except self._ray.exceptions.RayActorError:
                answer, self._is_started = _LOST, True
            if self._is_started and answer is not None:
                self._code = int(answer)
                self._ray.kill(self._handle)
                return self._code
            self._is_started = True
            self._asked = self._handle.poll.remote()
        return None

    def stop(self) -> None:
        self._handle.signal.remote(int(signal.SIGTERM))

    def kill(self) -> None:
        if self._code is None:
            self._handle.signal.remote(int(signal.SIGKILL))
