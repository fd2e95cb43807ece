"""Small grids on digits, and cells made by hand, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from preceptor.experiments.cells import Cell, Taught

__all__ = ["FIXED", "cell", "small_grid"]

FIXED: dict[str, Any] = {"data": "digits", "data.limit": 100, "data.test_limit": 50, "epochs": 2}


def small_grid(folder: Path, **more: Any) -> dict[str, Any]:
    """Return a grid of one teacher and one student, in a folder, with other keys on top."""
    values = {
        "fixed": FIXED,
        "pair": [{"teacher.model": "convnet_s", "model": "mlp"}],
        "teach": {"objective": "cross_entropy"},
        "distill": {"method": "kd"},
        "out": str(folder / "grid"),
    }
    return {**values, **more}


def cell(folder: Path, number: int = 0, *, teacher: str | None = None, **fields: Any) -> Cell:
    """Return a cell: a teacher, or the student of one."""
    verb = fields.pop("verb", "teach" if teacher is None else "distill")
    values = {
        "id": f"{verb}-{number}",
        "verb": verb,
        "choices": {"objective": "brier"},
        "values": {"objective": "brier"},
        "seed": number,
        "words": ("data=digits",),
        "folder": folder,
        "teacher": None if teacher is None else Taught(teacher),
        "kind": verb,
    }
    return Cell(**{**values, **fields})
