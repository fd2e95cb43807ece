"""The grid files that come with the package."""

from __future__ import annotations

from pathlib import Path

from preceptor.errors import UsageError
from preceptor.messages import did_you_mean

__all__ = ["find_grid", "shipped_grids"]

_FOLDER = Path(__file__).parents[1] / "grids"


def shipped_grids() -> dict[str, str]:
    """Return the names of the shipped grid files, each with its first comment line."""
    files = sorted(_FOLDER.glob("*.yaml"))
    return {path.stem: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for path in files}


def find_grid(source: str | Path) -> Path:
    """Return the path of a grid file: the path itself, or that of a shipped file by its name.

    Raises:
        UsageError: when there is neither.
    """
    path = Path(source)
    if path.is_file():
        return path
    names = shipped_grids()
    if str(source) in names:
        return _FOLDER / f"{source}.yaml"
    near = did_you_mean(str(source), names, otherwise="preceptor grid --list shows the shipped ones")
    raise UsageError(f"{source}: no such grid file{near}")
