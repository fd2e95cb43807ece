"""A disk that is full from one change of a file on: the command must say so, and end as it should once there is room."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from campaign.child import Ended, command, fork, watch_writes
from campaign.judge import result_of
from campaign.kills import Kills, Scenario
from campaign.world import World

__all__ = ["FullDisk", "mounted"]

_SIZE = "64m"
_PATIENCE = 300.0
_FILLER = ".filler"
Row = dict[str, Any]


def mounted(folder: Path) -> bool:
    """Mount a small tmpfs on a folder; return whether that is permitted (it is in a user namespace: `unshare -rm`)."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    return shutil.which("mount") is not None and subprocess.run(words, capture_output=True, check=False).returncode == 0


class FullDisk:
    """Fills the disk under commands.

    Args:
        world: that is copied.
        work: a folder; on a tmpfs the disk is filled, elsewhere the system's limit on the size of a file is set to 0.
        is_small: whether it is a tmpfs.
        seed: of what is drawn.
    """

    def __init__(self, world: World, work: Path, *, is_small: bool, seed: int = 0) -> None:
        self._world = world
        self._work = work
        self._is_small = is_small
        self._kills = Kills(world, work, seed)

    def changes(self, scenario: Scenario) -> int:
        """Return how many changes of files the command makes."""
        return len(self._kills.whole(scenario)[1])

    def row(self, number: int, scenario: Scenario, at: int) -> Row:
        """Carry out a command whose disk is full from its `at`-th change of a file on, and again with room."""
        wanted, events, _ = self._kills.whole(scenario)
        folder = self._kills.copied(scenario, f"full-{number}")
        count, limits = 0, resource.getrlimit(resource.RLIMIT_FSIZE)

        def act(event: str, path: str) -> None:
            nonlocal count
            count += 1
            if count != at:
                return
            if self._is_small:
                _fill(folder / _FILLER)
            else:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))

        try:
            ended = fork(command(scenario.words), folder, memory=None, watch=watch_writes(folder, act)).wait(_PATIENCE)
            (folder / _FILLER).unlink(missing_ok=True)
            again = fork(command(scenario.again), folder, memory=None).wait(_PATIENCE)
            outcome = _outcome(ended, again, lambda: result_of(scenario.result, folder, again.out) == wanted)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        row: Row = {"n": number, "scenario": scenario.name, "at": at, "outcome": outcome}
        if outcome not in {"said and resumed", "not needed"}:
            event = events[at - 1].replace(f"{self._work}/whole/", "")
            row |= {
                "what": f"full before {event}",
                "command": " ".join(scenario.words),
                "said": _said(ended),
                "then": _said(again),
            }
        return row


def _outcome(ended: Ended, again: Ended, is_same: Any) -> str:
    if ended.timed_out or again.timed_out:
        return "hang"
    if "Traceback" in ended.err or "(--debug" in ended.err:
        return "exception"
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    if ended.status and (ended.status not in (1, 2) or len(errors) != 1):
        return "several lines"
    if again.status:
        return "not resumed"
    try:
        same = is_same()
    except Exception:  # what it should have made is not there
        return "no result"
    if not same:
        return "other result"
    return "said and resumed" if ended.status else "not needed"


def _fill(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (2**20, 4096, 1):
        while _is_written(handle, size):
            pass
    os.close(handle)


def _is_written(handle: int, size: int) -> bool:
    try:
        return os.write(handle, bytes(size)) > 0
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return False
        raise


def _said(ended: Ended) -> str:
    lines = [line for line in ended.err.splitlines() if line.strip()]
    return f"{ended.status}: {(lines or [''])[-1][:250]}"
