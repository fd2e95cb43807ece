"""A grid: its cells, and grid.json, which tells a report what they are."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel

from preceptor.checksums import json_with_checksum
from preceptor.config.trust import values_in
from preceptor.documents import read_document
from preceptor.errors import RunError, UsageError
from preceptor.experiments.cells import Cell
from preceptor.experiments.grid_file import GridFile, Where, parse_grid, read_grid
from preceptor.experiments.plan import make_cells, matching
from preceptor.experiments.schedule import CellStatus, status_of
from preceptor.experiments.shipped import find_grid
from preceptor.experiments.store import Store
from preceptor.files import write_text

__all__ = ["FORMAT", "Grid", "open_grid"]

FORMAT = 1


def _with_id(cell: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(cell.get("id"), str):
        raise ValueError("has no id")
    return cell


class _Before(BaseModel):
    """What is read of a grid.json that is written anew; `reports` reads all of it."""

    format: int
    file: str
    changes: dict[str, Any]
    cells: list[Annotated[dict[str, Any], AfterValidator(_with_id)]]


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid file's cells.

    Attributes:
        name: of the grid.
        cells: teachers, stored outputs and students, each after the cells that it needs.
        out: folder of the grid, which holds grid.json.
        folder: of the cells.
        notes: what a user should know of the plan, one line each.
    """

    name: str
    cells: tuple[Cell, ...]
    out: Path
    folder: Path
    notes: tuple[str, ...]
    _file: GridFile = field(repr=False)
    _changes: Mapping[str, Any] = field(repr=False)

    @property
    def ranks(self) -> int:
        """Processes of each cell, as the file says."""
        return self._file.ranks

    def select(self, only: Mapping[str, Any]) -> tuple[Cell, ...]:
        """Return the cells with these choices, and those that they need.

        Args:
            only: value of each choice by its name, or several values; none: all cells.

        Raises:
            UsageError: for a choice that no cell has, or when no cell is left.
        """
        if not only:
            return self.cells
        several = {name: value if isinstance(value, list) else [value] for name, value in only.items()}
        for name, values in several.items():
            for value in values:
                if not self._with({name: value}):
                    raise UsageError(f"--only {name}={value}: matches no cell")
        wanted = (dict(zip(several, values, strict=True)) for values in itertools.product(*several.values()))
        chosen = {cell for each in wanted for cell in self._with(each)}
        if not chosen:
            raise UsageError(f"--only {' '.join(f'{name}={value}' for name, value in only.items())}: matches no cell")
        for cell in reversed(self.cells):
            if cell.id in chosen:
                chosen.update(cell.needs)
        return tuple(cell for cell in self.cells if cell.id in chosen)

    def _with(self, only: Mapping[str, Any]) -> set[str]:
        """Return the ids of the cells with these choices.

        Raises:
            UsageError: for a choice that no cell has.
        """
        try:
            return {cell.id for cell in matching(self._file, Where(only, "--only"), self.cells)}
        except UsageError as error:
            raise UsageError(str(error)[str(error).index("--only") :]) from error

    def stands(self) -> dict[str, CellStatus]:
        """Return where each cell stands now, by id: done, running, waiting, failed, or blocked by one that failed."""
        return status_of(self.cells, Store(self.folder))

    def write(self) -> Path:
        """Write grid.json and return its path. Cells of other seeds that the same file had before are kept.

        Raises:
            UsageError: when the folder cannot be made.
            RunError: when the disk refuses.
        """
        path = self.out / "grid.json"
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"out: {self.out} cannot be made ({error.strerror})") from error
        values = self._as_dict()
        own = {cell["id"] for cell in values["cells"]}
        values["cells"] += [cell for cell in self._before(path) if cell["id"] not in own]
        write_text(path, json_with_checksum(json.dumps(values, indent=1)))
        return path

    def _as_dict(self) -> dict[str, Any]:
        baseline = self._file.baseline
        return {
            "format": FORMAT,
            "name": self.name,
            "file": self._file.yaml.text,
            "changes": {key: value for key, value in self._changes.items() if key != "seed"},
            "compare": {"baseline": None if baseline is None else dict(baseline.choices), "over": "seed"},
            "published": [
                {
                    "where": dict(each.where.choices),
                    "accuracy": each.accuracy,
                    "std": each.std,
                    "n": each.n,
                    "source": each.source,
                }
                for each in self._file.published
            ],
            "cells": [self._cell(cell) for cell in self.cells],
        }

    def _cell(self, cell: Cell) -> dict[str, Any]:
        taught = cell.teacher
        return {
            "id": cell.id,
            "verb": cell.verb,
            "choices": dict(cell.choices),
            "seed": cell.seed,
            "needs": list(cell.needs),
            "teacher": None if taught is None else {"cell": taught.cell, "epoch": taught.epoch},
            "command": cell.command(),
            "run": Path(os.path.relpath(cell.run, self.out)).as_posix(),
        }

    def _before(self, path: Path) -> Sequence[dict[str, Any]]:
        """Return the cells that grid.json lists, where it is of the same file and changes."""
        if not path.exists():
            return ()
        try:
            before = read_document(path, _Before, sealed=True)
        except UsageError as error:
            raise RunError(f"{error}; delete it, and it is written anew") from error
        own = self._as_dict()
        is_same = (before.format, before.file, before.changes) == (own["format"], own["file"], own["changes"])
        return before.cells if is_same else ()


def open_grid(
    source: str | Path | Mapping[str, Any], changes: Mapping[str, Any] | None = None, trust: Sequence[str] = ()
) -> Grid:
    """Return the grid of a file.

    Args:
        source: path of a YAML file, name of a shipped one, or what such a file holds.
        changes: as for `parse_grid`.
        trust: what the file names that runs code or reaches the network.

    Raises:
        UsageError: when something in it is wrong: one line with the place; when it names something of that kind that neither
            `trust` nor `changes` name.
    """
    changes = changes or {}
    if isinstance(source, Mapping):
        file = parse_grid(yaml.safe_dump(dict(source), sort_keys=False, allow_unicode=True), "grid", changes)
    else:
        file = read_grid(find_grid(source), changes)
    trusted = None if isinstance(source, Mapping) else frozenset({*trust, *values_in(changes)})
    cells, notes = make_cells(file, trusted)
    return Grid(file.name, cells, file.out, file.cells, notes, file, changes)
