"""A grid's cells as CSV."""

from __future__ import annotations

import csv
import io
import shlex

from preceptor.reports.grid_folder import Cell, GridFolder
from preceptor.reports.run_tables import best_epoch

__all__ = ["as_csv"]


def as_csv(grid: GridFolder) -> str:
    """Return a row per cell: its choices, every test metric, how it was selected, time, command."""
    choices = list(dict.fromkeys(name for cell in grid.cells for name in cell.choices))
    metrics = list(dict.fromkeys(name for cell in grid.cells if cell.record is not None for name in cell.record.test))
    out = io.StringIO()
    writer = csv.DictWriter(
        out,
        [
            *("cell", "verb", "status", "error", *(f"choice.{name}" for name in choices), "seed"),
            *("stop_at", "tested_epoch", *(f"test.{name}" for name in metrics)),
            *("validation_accuracy.last_epoch", "validation_accuracy.best_epoch", "best_epoch"),
            *("seconds", "images_per_second", "device", "teacher", "teacher_epoch", "run", "command"),
        ],
        lineterminator="\n",
    )
    writer.writeheader()
    writer.writerows(_csv_row(cell) for cell in grid.cells)
    return out.getvalue()


def _csv_row(cell: Cell) -> dict[str, object]:
    row: dict[str, object] = {
        **{"cell": cell.id, "verb": cell.verb, "status": cell.status, "error": cell.error, "seed": cell.seed},
        **{f"choice.{name}": value for name, value in cell.choices.items()},
        **{"stop_at": cell.stop_at, "teacher": cell.teacher, "teacher_epoch": cell.teacher_epoch},
        **{"run": cell.run, "command": shlex.join(cell.command)},
    }
    record = cell.record
    if record is None:
        return row
    best = best_epoch(record)
    last = record.history[-1].get("validation") or {}
    return {
        **row,
        **{f"test.{name}": value for name, value in record.test.items()},
        "tested_epoch": record.selected_epoch,
        "validation_accuracy.last_epoch": last.get("accuracy"),
        "validation_accuracy.best_epoch": best[1] if best else None,
        "best_epoch": best[0] if best else None,
        "seconds": record.seconds,
        "images_per_second": record.images_per_second,
        "device": record.device,
    }
