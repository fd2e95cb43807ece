"""An action in a forked child, with limits on its time and memory, so that a hang or a crash is an outcome and no accident.

The parent has imported the library; a child begins with all of it and costs milliseconds.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Child", "Ended", "command", "fork", "watch_outside", "watch_writes"]

MEMORY = (
    3 * 2**30
)  # bytes of data beyond those of the parent (not of addresses: V8, which draws the pages, reserves many)
FILE_SIZE = 2**29  # bytes of a file: a runaway writer does not fill the disk
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_TO_SECOND = {"os.rename", "os.link", "os.symlink"}  # events whose second argument is the path that appears
_OUTSIDE = {"socket.connect", "socket.getaddrinfo", "socket.sendto", "os.system"}


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a child.

    Attributes:
        status: exit status; negative: the signal that killed it.
        out: what it wrote to stdout.
        err: what it wrote to stderr.
        seconds: that it took.
        timed_out: whether it was killed because its time was up.
    """

    status: int
    out: str
    err: str
    seconds: float
    timed_out: bool = False


@dataclass
class Child:
    """A running child, leader of a session of its own.

    Attributes:
        pid: of the process.
        pipes: stdout and stderr, the ends that are read.
        began: when.
        heard: what was read.
        status: once it has ended.
    """

    pid: int
    pipes: tuple[int, int]
    began: float
    heard: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    status: int | None = None

    def poll(self) -> int | None:
        """Read what it says, and return its exit status, or None while it runs."""
        for pipe, heard in zip(self.pipes, self.heard, strict=True):
            with suppress(BlockingIOError):
                while content := os.read(pipe, 65536):
                    heard.extend(content)
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                self.poll()  # its last words
        return self.status

    def signal(self, number: int) -> None:
        """Send a signal to all of its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, seconds: float) -> Ended:
        """Wait for its end, at most so long, and end what it has started."""
        deadline, timed_out = self.began + seconds, False
        while self.poll() is None:
            if time.monotonic() > deadline and not timed_out:
                timed_out = True
                self.signal(signal.SIGKILL)
            time.sleep(0.002)
        self.signal(signal.SIGKILL)  # what it has left behind
        for pipe in self.pipes:
            os.close(pipe)
        out, err = (bytes(heard).decode(errors="replace") for heard in self.heard)
        assert self.status is not None
        return Ended(self.status, out, err, time.monotonic() - self.began, timed_out)


def fork(
    action: Callable[[], int],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    memory: int | None = MEMORY,
    watch: Callable[[str, tuple[Any, ...]], object] | None = None,
) -> Child:
    """Start an action in a child.

    Args:
        action: returns the exit status.
        folder: the child's working folder.
        env: further environment.
        memory: bytes of data that it may add to those it begins with; None: no limit.
        watch: is called with every audit event of the child, before it happens.
    """
    pipes = [os.pipe(), os.pipe()]
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        for reads, writes in pipes:
            os.close(writes)
            os.set_blocking(reads, False)
        return Child(pid, (pipes[0][0], pipes[1][0]), time.monotonic())
    status = 70
    try:
        os.setsid()
        for number, (reads, writes) in enumerate(pipes, start=1):
            os.close(reads)
            os.dup2(writes, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
        os.chdir(folder)
        os.environ.update(env or {})
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
        if memory is not None:
            limit = _data() + memory
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        if watch is not None:
            sys.addaudithook(watch)
        status = action()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback  # noqa: PLC0415

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(status & 255)


def command(words: Sequence[str]) -> Callable[[], int]:
    """Return the command line with some words as an action."""

    def action() -> int:
        from preceptor.cli import main  # noqa: PLC0415  (imported by the parent)

        sys.argv = ["preceptor", *words]
        return main(list(words))

    return action


def watch_writes(folder: Path, act: Callable[[str, str], object]) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that calls `act` with event and path before each change of a file below a folder."""
    root, busy = str(folder.resolve()), False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        is_write = event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES)
        changed = arguments[1] if event in _TO_SECOND else arguments[0] if arguments else None
        if busy or not is_write or not isinstance(changed, str | bytes | os.PathLike):
            return
        busy = True
        try:
            path = os.path.abspath(os.fsdecode(changed))  # noqa: PTH100  (a hook of its own kind: no more events)
            if path.startswith(root):
                act(event, path)
        finally:
            busy = False

    return watch


def watch_outside(event: str, arguments: tuple[Any, ...]) -> None:
    """Note on stderr that a child reaches for the network or starts a program by the shell."""
    if event in _OUTSIDE and not (event == "socket.connect" and _is_local(arguments[1])):
        os.write(2, f"reached out: {event} {arguments[-1]!r}\n".encode())


def _is_local(address: object) -> bool:
    return isinstance(address, str | bytes) or (
        isinstance(address, tuple) and str(address[0]) in {"127.0.0.1", "::1", "localhost"}
    )


def _data() -> int:
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
