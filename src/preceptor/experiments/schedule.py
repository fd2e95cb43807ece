"""Which cell runs next: the loop of `preceptor grid`."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import Literal, Protocol, TextIO

from preceptor.experiments.cells import Cell
from preceptor.experiments.executor import Executor, Job, Launch
from preceptor.experiments.store import CellState, Store

__all__ = ["Callback", "CellStatus", "Progress", "run_cells", "status_of"]

CellStatus = Literal["waiting", "running", "elsewhere", "done", "failed", "blocked"]
_KILLS = 3  # a cell that was killed so often is not started again
_POLL_SECONDS, _LOOK_SECONDS = 0.1, 1.0


class Callback(Protocol):
    """Hears what happens to cells."""

    def started(self, cell: Cell, where: str) -> None:
        """Called when a cell starts, or resumes."""

    def ended(self, cell: Cell, stand: CellStatus, detail: str) -> None:
        """Called when a cell is done, has failed, is blocked, or runs elsewhere."""

    def stopped(self, cell: Cell) -> None:
        """Called when a cell has ended because the user asked for it."""

    def refresh(self, progress: Progress) -> None:
        """Called several times a second."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a grid is: where each cell stands, and since when those that run have been running."""

    stands: dict[str, CellStatus]
    since: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Running:
    cell: Cell
    job: Job
    lock: TextIO
    began: float


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    executor: Executor,
    callback: Callback,
    *,
    retry: bool = False,
    stops: Callable[[], int] = lambda: 0,
) -> dict[str, CellStatus]:
    """Run cells until each is done, has failed, or needs one that has; return where each stands.

    A cell that another process runs is waited for. One that was killed by a signal is resumed, `_KILLS` times at most.

    Args:
        cells: each after those it needs.
        store: their folder.
        executor: starts them.
        callback: hears of it.
        retry: whether to run those that have failed before.
        stops: how often the user has asked to stop: once, cells save and end; twice, they are killed.
    """
    schedule = _Schedule(cells, store, executor, callback, retry=retry)
    try:
        while schedule.is_open:
            schedule.step(stops())
            time.sleep(_POLL_SECONDS)
    finally:
        schedule.kill()
        executor.close()
    return schedule.stands


class _Schedule:
    def __init__(
        self, cells: Sequence[Cell], store: Store, executor: Executor, callback: Callback, *, retry: bool
    ) -> None:
        self.stands: dict[str, CellStatus] = dict.fromkeys((cell.id for cell in cells), "waiting")
        self.is_open = True
        self._cells, self._store, self._executor, self._callback = cells, store, executor, callback
        self._retry = retry
        self._running: list[_Running] = []
        self._kills: dict[str, int] = {}
        self._stops = 0
        self._others = 0  # cells on this machine whose grid is gone
        self._next_look = 0.0
        self._tried: set[str] = set()
        self._anew: set[str] = set()
        for cell in cells:  # nothing is said of what was done before
            if store.is_done(cell) and not store.is_running(cell):
                self.stands[cell.id] = "done"

    def step(self, stops: int) -> None:
        """Do what can be done now."""
        for running in list(self._running):
            code = running.job.poll()
            if code is not None:
                self._running.remove(running)
                self._end(running, code)
        if stops > self._stops:
            for running in self._running:
                running.job.stop() if self._stops == 0 and stops == 1 else running.job.kill()
            self._stops = stops
        if not self._stops:
            self._start()
        self._callback.refresh(Progress(dict(self.stands), {each.cell.id: each.began for each in self._running}))
        is_left = any(stand in {"waiting", "elsewhere"} for stand in self.stands.values()) and not self._stops
        self.is_open = bool(self._running) or is_left

    def kill(self) -> None:
        """End whatever still runs; after an error of the loop itself."""
        for running in self._running:
            running.job.kill()

    def _start(self) -> None:
        now = time.monotonic()
        if now < self._next_look and not self._executor.has_room(self._others):
            return
        if now >= self._next_look:  # cells of other processes are looked at once a second
            self._next_look = now + _LOOK_SECONDS
            elsewhere = [cell for cell in self._cells if self.stands[cell.id] == "elsewhere"]
            self._others = sum(self._store.state(cell).is_orphan for cell in elsewhere)
        for cell in self._cells:
            if self.stands[cell.id] not in {"waiting", "elsewhere"}:
                continue
            needs = {self.stands.get(need, "done") for need in cell.needs}
            if needs & {"failed", "blocked"}:
                blocking = next(need for need in cell.needs if self.stands.get(need) in {"failed", "blocked"})
                self._set(cell, "blocked", f"needs {blocking}")
            elif needs <= {"done"}:
                self._start_or_wait(cell)

    def _start_or_wait(self, cell: Cell) -> None:
        store, stand = self._store, self.stands[cell.id]
        lock = store.lock(cell)
        if lock is None:
            if stand != "elsewhere":
                state = store.state(cell)
                self._set(cell, "elsewhere", f"process {state.pid} on {state.host} runs it")
            return
        before = store.state(cell)
        if store.is_done(cell):
            store.write_state(cell, replace(before, state="done", error=None, kind=cell.kind))
            self._set(cell, "done", "")
        elif before.state == "failed" and (not self._retry or cell.id in self._tried):
            self._set(cell, "failed", f"has failed before ({before.error}); --retry runs it again")
        elif self._executor.has_room(self._others):
            self._launch(cell, before, lock)
            return
        elif stand == "elsewhere":
            self.stands[cell.id] = "waiting"
        lock.close()

    def _launch(self, cell: Cell, before: CellState, lock: TextIO) -> None:
        self._tried.add(cell.id)
        is_anew = cell.verb == "teach" and self._store.is_finished(cell)  # it has passed epochs that others need now
        if is_anew:
            self._anew.add(cell.id)
        command = cell.command(overwrite=is_anew)
        job = self._executor.start(Launch(cell, command, self._store.log(cell), lock))
        state = replace(
            before,
            state="running",
            attempts=before.attempts + 1,
            exit=None,
            error=None,
            pid=job.pid,
            host=socket.gethostname(),
            grid=os.getpid(),
            where=job.where,
            kind=cell.kind,
        )
        self._store.write_state(cell, state)
        self._running.append(_Running(cell, job, lock, time.monotonic()))
        self.stands[cell.id] = "running"
        self._callback.started(cell, job.where)

    def _end(self, running: _Running, code: int) -> None:
        cell, store = running.cell, self._store
        state = store.state(cell)
        state = replace(state, seconds=state.seconds + time.monotonic() - running.began, exit=code, pid=None)
        signal = _signal_of(code)
        if store.is_done(cell):
            state = replace(state, state="done")
        elif self._stops:
            state = replace(state, state="queued")
        elif signal is not None and self._kills.get(cell.id, 0) + 1 < _KILLS:
            self._kills[cell.id] = self._kills.get(cell.id, 0) + 1
            state = replace(state, state="queued", error=f"was killed ({signal.name})")
        elif code == 0:
            is_partial = cell.verb == "teach" and store.is_finished(cell)
            words = "did not keep every epoch that others need" if is_partial else "ended without a result"
            again = is_partial and cell.id not in self._anew
            state = replace(state, state="queued" if again else "failed", error=words)
        else:
            words = f"was killed {_KILLS} times ({signal.name})" if signal is not None else store.last_words(cell)
            state = replace(state, state="failed", error=words)
        store.write_state(cell, state)
        running.lock.close()
        if self._stops and state.state == "queued":
            self.stands[cell.id] = "waiting"
            self._callback.stopped(cell)
            return
        stand: CellStatus = "waiting" if state.state == "queued" else "done" if state.state == "done" else "failed"
        detail = state.error or "" if stand != "done" else ""
        self._set(cell, stand, detail)

    def _set(self, cell: Cell, stand: CellStatus, detail: str) -> None:
        self.stands[cell.id] = stand
        self._callback.ended(cell, stand, detail)


def status_of(cells: Sequence[Cell], store: Store) -> dict[str, CellStatus]:
    """Return where each cell stands now."""
    stands: dict[str, CellStatus] = {}
    for cell in cells:
        status = store.status(cell)
        is_blocked = any(stands.get(need) in {"failed", "blocked"} for need in cell.needs)
        stands[cell.id] = "waiting" if status == "queued" else status
        if status == "queued" and is_blocked:
            stands[cell.id] = "blocked"
    return stands


def _signal_of(code: int) -> Signals | None:
    """Return the signal that ended a process, from its status or from what a shell makes of it."""
    number = -code if code < 0 else code - 128
    with suppress(ValueError):
        signal = Signals(number)
        return signal if signal in {SIGINT, SIGTERM, SIGKILL} else None
    return None
