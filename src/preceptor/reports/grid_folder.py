"""The folder of a grid as it is on disk: grid.json, and what became of each cell; or a folder of runs without a grid."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from preceptor.artifacts.own_files import MARK, STAGES
from preceptor.artifacts.record import RunRecord
from preceptor.artifacts.run_folder import RunFolder
from preceptor.documents import read_document
from preceptor.errors import UsageError
from preceptor.reading import read_bytes

__all__ = ["Cell", "GridFolder", "Published", "Status", "read_grid_folder"]

_IN_A_LINE = ("data", "model", "objective", "method", "inputs", "epochs")  # of a run that no grid names

Status = Literal["done", "failed", "unfinished", "not started"]
Choices = Mapping[str, Any]


class Published(BaseModel):
    """A published number.

    Attributes:
        where: the choices that it belongs to.
        accuracy: in percent.
        std: of it, if stated.
        n: runs that it is the mean of, if stated.
        source: where it was published.
    """

    model_config = ConfigDict(frozen=True)

    where: dict[str, Any]
    accuracy: Annotated[float, Field(allow_inf_nan=False)]
    std: float | None = None
    n: int | None = None
    source: str


class _Taught(BaseModel):
    cell: str
    epoch: int | None = None


class _Cell(BaseModel):
    id: str
    verb: Literal["teach", "label", "distill"]
    choices: dict[str, str | int | float | bool]
    seed: int
    needs: list[str] = []
    teacher: _Taught | None = None
    command: list[str]
    run: str


class _Compare(BaseModel):
    baseline: dict[str, Any] | None = None


class _File(BaseModel):
    format: Literal[1]
    name: str
    file: str = ""
    compare: _Compare = _Compare()
    published: list[Published] = []
    cells: list[_Cell]


class _State(BaseModel):
    """What is read of what a grid wrote beside a cell."""

    state: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell and its result.

    Attributes:
        id: of the cell.
        verb: "teach", "label" or "distill".
        choices: by name, without the seed.
        seed: of the run.
        teacher: the cell whose network taught.
        teacher_epoch: the kept epoch of it; None: the result of its run.
        command: that runs it.
        run: its folder, as seen from the page.
        status: what became of it.
        error: why it failed, or how far it came.
        record: of a finished run.
        stop_at: the rule that chose whose weights were tested, or the epoch.
    """

    id: str
    verb: str
    choices: Choices
    seed: int
    teacher: str | None
    teacher_epoch: int | None
    command: tuple[str, ...]
    run: str
    status: Status
    error: str | None
    record: RunRecord | None
    stop_at: str | int | None


@dataclass(frozen=True, slots=True)
class GridFolder:
    """A grid and its results.

    Attributes:
        path: of the folder.
        name: of the grid.
        file: the YAML text it was made of; empty for runs without a grid.
        baseline: the choices that others are compared with; None: nothing is compared.
        published: numbers of others.
        cells: all of them, whatever became of each.
        is_grid: whether there is a grid.json.
    """

    path: Path
    name: str
    file: str
    baseline: Choices | None
    published: tuple[Published, ...]
    cells: tuple[Cell, ...]
    is_grid: bool = True

    def of(self, verb: str) -> list[Cell]:
        """Return the cells of a verb."""
        return [cell for cell in self.cells if cell.verb == verb]


def read_grid_folder(path: Path) -> GridFolder:
    """Return what is in a grid's folder, or the runs below a folder without grid.json.

    Raises:
        UsageError: when there is neither, or grid.json is damaged or of another format.
    """
    if not path.is_dir():
        raise UsageError(f"report: {path}: no such folder")
    if (path / "grid.json").exists():
        file = _read_file(path / "grid.json")
        cells = tuple(_read_cell(path, cell) for cell in file.cells)
        return GridFolder(path, file.name, file.file, file.compare.baseline or None, tuple(file.published), cells)
    runs = tuple(_read_run(path, run) for run in _runs_below(path))
    if not runs:
        raise UsageError(f"report: {path} holds no grid.json and no run folder")
    return GridFolder(path, path.resolve().name, "", None, (), runs, is_grid=False)


def _read_file(path: Path) -> _File:
    return read_document(path, _File, sealed=True)


def _read_cell(folder: Path, cell: _Cell) -> Cell:
    run = folder / cell.run
    status, error, record = _result(run, cell.verb)
    return Cell(
        id=cell.id,
        verb=cell.verb,
        choices=cell.choices,
        seed=cell.seed,
        teacher=cell.teacher.cell if cell.teacher else next((each for each in cell.needs if each[:5] == "teach"), None),
        teacher_epoch=cell.teacher.epoch if cell.teacher else None,
        command=tuple(cell.command),
        run=cell.run,
        status=status,
        error=error,
        record=record,
        stop_at=RunFolder(run).read_config().get("stop_at") if record else None,
    )


def _read_run(folder: Path, run: Path) -> Cell:
    status, error, record = _result(run, "")
    try:
        config = RunFolder(run).read_config()
    except UsageError as damage:
        config, status, error = {}, "failed", error or str(damage)
    place = Path(os.path.relpath(run, folder)).as_posix()
    return Cell(
        id=place,
        verb=str(config.get("kind")),
        choices={key: _named(config[key]) for key in _IN_A_LINE if config.get(key) is not None},
        seed=int(config.get("seed") or 0),
        teacher=None,
        teacher_epoch=None,
        command=tuple(record.command.split(" ")) if record else (),
        run=place,
        status=status,
        error=error,
        record=record,
        stop_at=config.get("stop_at"),
    )


def _runs_below(folder: Path) -> Iterator[Path]:
    """Yield run folders, without the stages inside of runs."""
    for config in sorted(folder.rglob("config.yaml")):
        if STAGES not in config.relative_to(folder).parts and _is_run(RunFolder(config.parent)):
            yield config.parent


def _is_run(folder: RunFolder) -> bool:
    """Return whether a folder with a config.yaml is a run, even a damaged one."""
    if (folder.path / MARK).exists() or folder.result.exists():
        return True
    try:
        folder.read_config()
    except UsageError:
        return False
    return True


def _named(section: Any) -> Any:
    """Return the name of a section, or the names of its terms; a plain value as it is."""
    if not isinstance(section, dict):
        return section
    return section.get("name") or " + ".join(key for key in section if key != "name")


def _result(run: Path, verb: str) -> tuple[Status, str | None, RunRecord | None]:
    """Return what became of a cell, from its folder and from what the grid wrote beside it (RUN.state.json)."""
    if verb == "label" and (run / "manifest.json").exists():
        return "done", None, None
    if RunFolder(run).is_finished:
        try:
            RunFolder(run).read_config()
            return "done", None, RunFolder(run).read_record()
        except UsageError as error:
            return "failed", str(error), None
    state = _state(run.with_name(f"{run.name}.state.json"))
    if state.state == "failed":
        return "failed", state.error or "said nothing", None
    if not RunFolder(run).config.exists():
        is_lost = RunFolder(run).result.exists()
        return ("failed", f"{RunFolder(run).config} is missing", None) if is_lost else ("not started", None, None)
    log = RunFolder(run).metrics
    epochs = read_bytes(log).count(b"\n") if log.exists() else 0
    return "unfinished", f"no result.json; epochs done: {epochs}", None


def _state(path: Path) -> _State:
    """Return what a grid wrote beside a cell; where that is damaged, the cell has failed."""
    try:
        return read_document(path, _State, sealed=True) if os.path.lexists(path) else _State()
    except UsageError as error:
        return _State(state="failed", error=str(error))
