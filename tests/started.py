"""The command line and scripts in processes of their own: real ones, forked from a server that has imported the library once."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from torch.multiprocessing.spawn import start_processes

__all__ = ["Started", "run", "side_by_side", "start"]

_PRELOADED = [
    "preceptor.cli",
    "preceptor.cli.assess",
    "preceptor.cli.curve",
    "preceptor.cli.grid",
    "preceptor.cli.export",
    "preceptor.cli.verbs",
    "preceptor.data.sources.digits",
    "preceptor.objectives.distill.kd",
    "preceptor.objectives.teacher.cross_entropy",
    "preceptor.training",
    "torch._dynamo",
    "torch.distributed",
    "torch.onnx",
    "torch.utils.data",
    "scipy.stats",
]


class Started:
    """Processes that run the same words, one per rank.

    Args:
        words: of the command line, or of a script with its arguments where the first one is a .py file.
        count: of processes, which know of each other as those that torchrun starts.
        env: further environment.
    """

    def __init__(self, words: Sequence[str], count: int = 1, env: Mapping[str, str] | None = None) -> None:
        self.args = list(words)
        self._folder = Path(tempfile.mkdtemp())
        shared = dict(env or {})
        if count > 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            shared |= {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        self.processes: list[ForkServerProcess] = []
        for rank in range(count):
            own = {**shared, **({"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {})}
            out, err = self._folder / f"out{rank}", self._folder / f"err{rank}"
            arguments = (self.args, own, out, err, str(Path.cwd()), multiprocessing.get_start_method())
            process = _context().Process(target=_work, args=arguments)
            process.start()
            self.processes.append(process)
        atexit.register(self.kill)

    def poll(self) -> int | None:
        """Return the exit status, or None while any runs."""
        codes = [process.exitcode for process in self.processes]
        return None if None in codes else self._status()

    def send_signal(self, number: int) -> None:
        """Send a signal to all."""
        for process in self.processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, number)

    def kill(self) -> None:
        """Kill those that still run."""
        self.send_signal(signal.SIGKILL)

    def finish(self, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Wait for all, and return the status of the first that failed and what all have written."""
        for process in self.processes:
            process.join(timeout)
        if self.poll() is None:
            self.kill()
            raise TimeoutError(f"{self.args} has not ended after {timeout} s: {self._text('err')}")
        return subprocess.CompletedProcess(self.args, self._status(), self._text("out"), self._text("err"))

    def _status(self) -> int:
        return next((process.exitcode for process in self.processes if process.exitcode), 0)

    def _text(self, kind: str) -> str:
        return "".join(path.read_text() for path in sorted(self._folder.glob(f"{kind}*")))


def start(words: Sequence[str], count: int = 1, env: Mapping[str, str] | None = None) -> Started:
    """Return started processes."""
    return Started(words, count, env)


def run(
    words: Sequence[str], count: int = 1, env: Mapping[str, str] | None = None, *, check: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run words in processes of their own, and wait; with `check` they must succeed."""
    done = Started(words, count, env).finish()
    assert not check or done.returncode == 0, done.stderr
    return done


def side_by_side(function: Callable[..., None], arguments: tuple[object, ...], count: int) -> None:
    """Call a function of a module with the rank and the arguments in so many processes, and wait for all."""
    _context()
    start_processes(function, arguments, count, start_method="forkserver")  # type: ignore[no-untyped-call]


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _work(words: list[str], env: Mapping[str, str], out: Path, err: Path, folder: str, method: str) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    os.environ.update(env)
    os.chdir(folder)
    multiprocessing.set_start_method(
        method, force=True
    )  # that of this process is the server's: slow for its own readers
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the server ignores
    try:
        if words[0].endswith(".py"):
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
            status = 0
        else:
            from preceptor.cli import main  # noqa: PLC0415  (preloaded)

            sys.argv = ["preceptor", *words]
            status = main(words)
    finally:
        atexit._run_exitfuncs()  # multiprocessing does not
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
