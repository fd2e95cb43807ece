"""The cells of a grid: what one process runs, what it needs first, and what it is called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preceptor.config.sections import AnyRecipe, LabelRecipe
from preceptor.experiments.choices import Scalar, Verb, flow

__all__ = ["Cell", "Taught"]


@dataclass(frozen=True, slots=True)
class Taught:
    """The state of a cell's network that teaches: that of a kept epoch, or the result of its run."""

    cell: str
    epoch: int | None = None

    def words(self, folder: Path) -> tuple[str, ...]:
        """Return the words that name it as the teacher of a command."""
        path = (f"teacher={flow(str(folder / self.cell))}",)
        return path if self.epoch is None else (*path, f"teacher.epoch={self.epoch}")


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a grid: a command line and a folder.

    Attributes:
        id: the verb and twelve digits of what the run does; its folder's name.
        verb: of the command.
        choices: what it is called: readable values by name.
        values: the same as the file states them, for conditions.
        seed: of the run.
        words: of the command, but for its folder and its teacher.
        folder: of all cells.
        teacher: whose state teaches; None for a teacher, or where the file names one by its path.
        labels: the cell whose stored outputs it learns from.
        kept: epochs of its network that other cells learn from.
        epochs: how long it trains, where the file or its preset says so.
        kind: digits that it shares with cells which take as long: those that differ in their seed or their teacher's training.
        recipe: of the run.
    """

    id: str
    verb: Verb
    choices: Mapping[str, Scalar]
    values: Mapping[str, Any]
    seed: int
    words: tuple[str, ...]
    folder: Path
    teacher: Taught | None = None
    labels: str | None = None
    kept: tuple[int, ...] = ()
    epochs: int | None = None
    kind: str = ""
    recipe: AnyRecipe | LabelRecipe | None = field(default=None, repr=False, compare=False)

    @property
    def run(self) -> Path:
        """Its run folder, or folder of labels."""
        return self.folder / self.id

    @property
    def needs(self) -> tuple[str, ...]:
        """The cells that have to be done first."""
        return tuple(each for each in (self.teacher and self.teacher.cell, self.labels) if each)

    @property
    def name(self) -> str:
        """What it is called in a line.

        Examples:
            >>> Cell("teach-0", "teach", {"model": "wrn_16_2", "objective": "brier"}, {}, 3, (), Path()).name
            'teach wrn_16_2, brier, seed 3'
        """
        return f"{self.verb} {', '.join([*map(str, self.choices.values()), f'seed {self.seed}'])}"

    def command(self, *, overwrite: bool = False) -> list[str]:
        """Return the command that starts it, or continues it where it stopped.

        Args:
            overwrite: start it anew.
        """
        inputs = () if self.teacher is None else self.teacher.words(self.folder)
        stored = () if self.labels is None else (f"labels={flow(str(self.folder / self.labels))}",)
        keeps = (f"keep_every={math.gcd(*self.kept)}",) if self.kept else ()
        again = () if self.verb == "label" else ("overwrite=true",) if overwrite else ("resume=true",)
        return ["preceptor", self.verb, *self.words, *inputs, *stored, *keeps, f"out={flow(str(self.run))}", *again]
