"""The files of a run by their names, and their removal: nothing else in a folder is ever removed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from preceptor.errors import RunError
from preceptor.files import LOCK, is_temporary

__all__ = ["ENTRIES", "MARK", "MODULES", "STAGES", "clear_run", "module_files", "remove_run"]

MARK = ".preceptor-run"
STAGES = "stages"
MODULES = "objective"  # what the objective trained and another run may use
_FILES = (
    *("config.yaml", "result.json", "metrics.jsonl", "model.safetensors", "track.id"),
    *("classes.csv", "confusion.csv", "report.html"),
)
_IN_FOLDERS = {  # what trackers keep in folders of their own (wandb/) stays
    "checkpoint": re.compile(r"last\.pt|epoch_[0-9]+\.safetensors"),
    MODULES: re.compile(r"[a-z0-9_]+\.safetensors"),
    "pictures": re.compile(r"[a-z_-]+\.svg"),
    "tensorboard": re.compile(r"events\.out\.tfevents\..+"),
}
ENTRIES = (*_FILES, *_IN_FOLDERS, STAGES)


def module_files(folder: Path) -> dict[str, Path]:
    """Return the files of modules that a run's objective trained, by name."""
    return {path.stem: path for path in sorted((folder / MODULES).glob("*.safetensors"))}


def clear_run(folder: Path) -> None:
    """Remove the files of a run, and folders of a run that are empty then.

    The configuration goes first: without it, what is left after an interruption is not taken for a run.

    Raises:
        RunError: when the system refuses.
    """
    try:
        for path in _own_files(folder):
            path.unlink(missing_ok=True)
        for stage in _entries(folder / STAGES):
            if stage.is_dir() and not stage.is_symlink():
                clear_run(stage)
                _remove_if_empty(stage)
    except OSError as error:
        raise RunError(f"{folder}: cannot be cleared ({error.strerror})") from error
    for name in (*_IN_FOLDERS, STAGES):
        _remove_if_empty(folder / name)


def remove_run(folder: Path) -> None:
    """Remove the files of a run with its mark, and the folder if it is empty then; without the mark, nothing.

    Raises:
        RunError: when the system refuses.
    """
    if not (folder / MARK).is_file():
        return
    clear_run(folder)
    for name in (LOCK, MARK):
        (folder / name).unlink(missing_ok=True)
    _remove_if_empty(folder)


def _own_files(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in _FILES)
    yield from (path for path in _entries(folder) if is_temporary(path.name))
    for name, own in _IN_FOLDERS.items():
        yield from (path for path in _entries(folder / name) if own.fullmatch(path.name) or is_temporary(path.name))


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # it is missing, or holds something else
        folder.rmdir()
