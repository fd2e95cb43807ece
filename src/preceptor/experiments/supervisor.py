"""A process on a node of a cluster, and what looks after it there; light, because every cell has one."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from preceptor.files import lock_file

__all__ = ["Supervisor"]

_DIE_WITH_PARENT = 1  # Linux: PR_SET_PDEATHSIG


class Supervisor:
    """Looks after a cell's process; an actor on the node where that runs.

    Args:
        log: the file that the process's output is added to.
        folder: from which it is started.
    """

    def __init__(self, log: str, folder: str) -> None:
        self._log = Path(log)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, words: Sequence[str], env: Mapping[str, str]) -> int:
        """Start the process and return its number. An earlier one of this cell, whose actor was lost, ends first."""
        lock = lock_file(self._log.with_suffix(".node"))
        while lock is None:  # it has been told to save and end
            time.sleep(0.1)
            lock = lock_file(self._log.with_suffix(".node"))
        with lock, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                words,
                env={**os.environ, **env},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  (one thread, and only a system call)
            )
        return self._process.pid

    def poll(self) -> int | None:
        """Return the process's exit status, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def _end_with_parent() -> None:
    """Have Linux send this process SIGTERM when its parent ends, however that ends; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, int(signal.SIGTERM))
