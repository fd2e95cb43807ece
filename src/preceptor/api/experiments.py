"""Grids of runs, from Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from preceptor.console import open_console
from preceptor.errors import RunError, UsageError
from preceptor.experiments.cells import Cell
from preceptor.experiments.executor import Executor
from preceptor.experiments.expected import Pace
from preceptor.experiments.grid import Grid, open_grid
from preceptor.experiments.local import Local, places
from preceptor.experiments.progress import Lines, LiveTable, Quiet
from preceptor.experiments.schedule import CellStatus, run_cells
from preceptor.experiments.stopping import GridStopped, Stopping
from preceptor.experiments.store import Store
from preceptor.runner.progress import show_notes

__all__ = ["grid"]


def grid(
    source: str | Path | Mapping[str, Any] | Grid,
    *,
    changes: Mapping[str, Any] | None = None,
    only: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    gpus: Sequence[int | str] = (),
    per_gpu: int = 1,
    ranks: int | None = None,
    threads: int | None = None,
    trust: Sequence[str] = (),
    executor: Executor | None = None,
    retry: bool = False,
    run: bool = True,
    progress: bool = True,
) -> Grid:
    """Run the cells of a grid that are not done yet, each as a process of its own, and return the grid.

    Args:
        source: path of a grid file, the name of a shipped one, what such a file holds, or a Grid.
        changes: values that replace the file's: {"seed": [3, 4]}, {"data.root": PATH} (of `fixed`), {"distill.method": "kd"}.
        only: run the cells with these choices alone, and those that they need: {"method": "kd"}, {"method": ["kd", "dkd"]}.
        jobs: cells at a time; by default one, or as many as `gpus` have places for.
        gpus: the GPUs to use; by default every cell sees all of them.
        per_gpu: cells on one GPU.
        ranks: processes of each cell, by torchrun; by default as the file says.
        threads: of each process; by default the processors are divided among them.
        trust: what a file names that runs code or reaches the network: PKG.MODULE:FACTORY, a URL. What `changes` name, and a
            mapping or a Grid, need no such word.
        executor: what runs the cells, in place of this machine.
        retry: run those that have failed before once more.
        run: False: return the grid without running anything.
        progress: show progress on standard error.

    Raises:
        UsageError: for anything wrong in the file or the arguments: one line with the place.
        RunError: at the end, when cells have failed; the others are done, except those that need a failed one.
        GridStopped: after Ctrl-C or SIGTERM, once the cells have saved; the same call continues.
    """
    if isinstance(source, Grid):
        if changes:
            raise UsageError("changes: go with a file, not with a Grid")
        made = source
    else:
        made = open_grid(source, changes, trust)
    cells = made.select(only or {})
    if not run:
        return made
    if executor is None:
        count = made.ranks if ranks is None else ranks
        room = places(jobs, [str(each) for each in gpus], per_gpu, count)
        executor = Local(room, count, threads)
    store = Store(made.folder)
    made.write()
    show_notes(made.notes if progress else ())
    with Stopping() as stopping, _display(cells, store, executor, show=progress) as display:
        stands = run_cells(cells, store, executor, display, retry=retry, stops=lambda: stopping.count)
    _raise_unless_done(cells, stands, store, stopping)
    return made


def _display(cells: Sequence[Cell], store: Store, executor: Executor, *, show: bool) -> Quiet:
    console = open_console(stderr=True)
    if not show:
        return Quiet()
    return LiveTable(cells, Pace(store), executor.size, console) if console.is_terminal else Lines(cells, console)


def _raise_unless_done(
    cells: Sequence[Cell], stands: Mapping[str, CellStatus], store: Store, stopping: Stopping
) -> None:
    counts = Counter(stands.values())
    if stopping.signal is not None and counts["done"] < len(cells):
        raise GridStopped(
            f"stopped with {counts['done']} of {len(cells)} cells done; the same command continues from here",
            128 + stopping.signal,
        )
    failed = [cell for cell in cells if stands[cell.id] == "failed"]
    if failed:
        first, blocked = failed[0], counts["blocked"]
        words = f"{len(failed)} of {len(cells)} cells failed" + (
            f", {blocked} that need them did not run" if blocked else ""
        )
        why = f"{store.state(first).error} ({store.log(first)})"
        raise RunError(f"{words}; first {first.id}: {why}; --retry runs them again")
