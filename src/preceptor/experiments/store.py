"""The folder of the cells, which several grids share: runs, logs, locks and what became of each cell."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO

from preceptor.artifacts.run_folder import RunFolder
from preceptor.checksums import json_with_checksum
from preceptor.documents import read_document
from preceptor.errors import UsageError
from preceptor.experiments.cells import Cell
from preceptor.files import lock_file, write_text
from preceptor.labels import LabelStore

__all__ = ["CellState", "Status", "Store"]

Status = Literal["queued", "running", "done", "failed"]
_LOG_END = 4096  # bytes that are searched for the error


@dataclass(frozen=True, slots=True)
class CellState:
    """What became of a cell: CELLS/ID.state.json.

    Attributes:
        state: queued: not started, or stopped and to be resumed.
        attempts: how often it was started.
        seconds: of all attempts.
        exit: status of the last attempt; None where nobody waited for it.
        error: its last words.
        pid: of its process.
        host: of its machine.
        grid: process of the grid that started it.
        where: what ran it: "local", "slurm 12_3", "ray".
        kind: digits that it shares with cells which take as long.
    """

    state: Status = "queued"
    attempts: int = 0
    seconds: float = 0.0
    exit: int | None = None
    error: str | None = None
    pid: int | None = None
    host: str | None = None
    grid: int | None = None
    where: str | None = None
    kind: str | None = None

    @property
    def is_orphan(self) -> bool:
        """Whether its process may run on this machine although the grid that started it is gone."""
        return self.state == "running" and self.host == socket.gethostname() and not _is_alive(self.grid)


class Store:
    """The folder of the cells.

    Args:
        folder: made where it does not exist.

    Raises:
        UsageError: when it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cells: {folder} cannot be made ({error.strerror})") from error

    def log(self, cell: Cell) -> Path:
        """Return the file of a cell's output."""
        return self.folder / f"{cell.id}.log"

    def lock(self, cell: Cell) -> TextIO | None:
        """Return the cell's lock, or None while another process runs the cell."""
        return lock_file(self.folder / f"{cell.id}.lock")

    def is_running(self, cell: Cell) -> bool:
        """Return whether some process runs the cell now."""
        if not (self.folder / f"{cell.id}.lock").exists():
            return False
        lock = self.lock(cell)
        if lock is not None:
            lock.close()
        return lock is None

    def state(self, cell: Cell) -> CellState:
        """Return what became of a cell, as it was written; where that is damaged, the cell has failed."""
        return _read(self.folder / f"{cell.id}.state.json")

    def write_state(self, cell: Cell, state: CellState) -> None:
        """Write what became of a cell, atomically."""
        write_text(self.folder / f"{cell.id}.state.json", json_with_checksum(json.dumps(asdict(state), indent=1)))

    def states(self) -> Iterator[CellState]:
        """Yield what became of every cell in the folder, also those of other grids."""
        for path in sorted(self.folder.glob("*.state.json")):
            yield _read(path)

    def is_done(self, cell: Cell) -> bool:
        """Return whether a cell's result is there, with every epoch that others learn from."""
        if cell.verb == "label":
            try:
                return LabelStore(cell.run).views >= (cell.epochs or 1)
            except UsageError:
                return False
        return self.is_finished(cell) and set(cell.kept) <= set(RunFolder(cell.run).kept_epochs())

    def is_finished(self, cell: Cell) -> bool:
        """Return whether a cell's run has ended, whatever it kept."""
        return RunFolder(cell.run).is_finished

    def status(self, cell: Cell) -> Status:
        """Return what is true of a cell now: its files and its lock count more than what was written about it."""
        if self.is_running(cell):
            return "running"
        if self.is_done(cell):
            return "done"
        return "failed" if self.state(cell).state == "failed" else "queued"

    def last_words(self, cell: Cell) -> str:
        """Return the last error in a cell's log, or its last line."""
        try:
            with self.log(cell).open("rb") as handle:
                handle.seek(max(handle.seek(0, os.SEEK_END) - _LOG_END, 0))
                lines = handle.read().decode(errors="replace").splitlines()
        except OSError:
            return "its log cannot be read"
        texts = [line.strip() for line in lines if line.strip()]
        errors = [line for line in texts if line.startswith("error: ")]
        return (errors or texts or ["it said nothing"])[-1].removeprefix("error: ")[:300]


def _read(path: Path) -> CellState:
    if not os.path.lexists(path):
        return CellState()
    try:
        return read_document(path, CellState, sealed=True)
    except UsageError as error:
        return CellState("failed", error=str(error))


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
