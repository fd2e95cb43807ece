"""The run folder: config.yaml, metrics.jsonl, result.json, model.safetensors, CSV files, pictures, checkpoint/, stages/.

A folder is claimed before anything is written into it, and nothing in it is lost without `overwrite`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from preceptor.artifacts.metrics_log import MetricsLog
from preceptor.artifacts.record import RunRecord, read_record, write_record
from preceptor.errors import UsageError
from preceptor.files import LOCK, is_temporary, lock_folder, write_text

__all__ = ["RunFolder", "network_of"]

_OWN = (
    "config.yaml",
    "metrics.jsonl",
    "result.json",
    "model.safetensors",
    "checkpoint",
    "stages",
    "tensorboard",
    "wandb",
    "track.id",
    "classes.csv",
    "confusion.csv",
    "report.html",
    "pictures",
)
_FREE_TO_CHANGE = {
    "resume",
    "overwrite",
    "out",
    "track",
    "checkpoint_every_steps",
    "keep_every",
    "device",
    "workers",
}


class RunFolder:
    """One run on disk.

    Args:
        path: the folder; it need not exist yet. Used as a context manager, it releases at the end what `claim` locked.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._kept = ExitStack()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()

    @property
    def config(self) -> Path:
        """The fully resolved configuration."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """A JSON object per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def result(self) -> Path:
        """The record; it exists once the run is finished."""
        return self.path / "result.json"

    @property
    def weights(self) -> Path:
        """The trained network alone."""
        return self.path / "model.safetensors"

    @property
    def classes(self) -> Path:
        """A row per class: how many test samples it has, and how many are recognised."""
        return self.path / "classes.csv"

    @property
    def confusion(self) -> Path:
        """A row per pair of class and prediction that occurs on test; none on multi-label data."""
        return self.path / "confusion.csv"

    @property
    def page(self) -> Path:
        """The page of the run."""
        return self.path / "report.html"

    @property
    def pictures(self) -> Path:
        """The figures of the page, a file each."""
        return self.path / "pictures"

    @property
    def checkpoints(self) -> Path:
        """The state to continue from, and kept epochs."""
        return self.path / "checkpoint"

    def stage(self, name: str) -> RunFolder:
        """Return the folder of a stage before the main run, created where missing."""
        folder = RunFolder(self.path / "stages" / name)
        folder.path.mkdir(parents=True, exist_ok=True)
        return folder

    def kept_epochs(self) -> dict[int, Path]:
        """Return the weights files of kept epochs, in order."""
        files = sorted(self.checkpoints.glob("epoch_*.safetensors"))
        return {int(path.stem.removeprefix("epoch_")): path for path in files}

    @property
    def is_finished(self) -> bool:
        """Whether the run has finished."""
        return self.result.exists()

    def check(self, *, resume: bool, overwrite: bool) -> list[str]:
        """Return the names of the folder's entries, if a run may be written there; nothing is changed.

        Args:
            resume: it would continue what is there.
            overwrite: it would delete an earlier run's files.

        Raises:
            UsageError: when it is a file, holds something else, or holds a run that is neither resumed nor overwritten.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"out: {self.path} is a file, not a folder")
        names = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        content = sorted(name for name in names - {LOCK} if not is_temporary(name))  # of a writer that was killed
        if content and not self.config.exists():
            raise UsageError(
                f"out: {self.path} is not empty and holds no run ({content[0]}, ...); choose another folder"
            )
        if content and not (resume or overwrite):
            state = "a finished run" if self.is_finished else "an unfinished run (resume=True continues it)"
            raise UsageError(f"out: {self.path} holds {state}; overwrite=True starts it anew")
        return content

    def check_same(self, config: Mapping[str, Any]) -> None:
        """Check that a configuration is that of this run, except for keys that may change on resuming.

        Raises:
            UsageError: when it is not: the first difference is named.
        """
        before = self.read_config()
        for key in sorted((set(before) | set(config)) - _FREE_TO_CHANGE):
            if before.get(key) != config.get(key):
                name, old, new = _difference(key, before.get(key), config.get(key))
                raise UsageError(f"out: {self.path} was started with {name}={old}, not {new}; resume needs the same")

    def claim(self, config: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Lock the folder for this run until its `with` block ends, and write its configuration.

        Args:
            config: the resolved configuration, plain values only.
            resume: continue what is there, if its configuration is the same.
            overwrite: delete an earlier run's files first.

        Raises:
            UsageError: when the folder is not empty and may not be used, or another process uses it.
        """
        content = self.check(resume=resume, overwrite=overwrite)
        self._kept.close()  # of an earlier claim
        self._kept.enter_context(lock_folder(self.path))
        if content and overwrite:
            self._clear()
        elif content:
            self.check_same(config)
        write_text(self.config, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def read_config(self) -> dict[str, Any]:
        """Return the configuration of the run.

        Raises:
            UsageError: when the folder holds no run or its configuration is damaged.
        """
        if not self.path.exists():
            raise UsageError(f"{self.path}: no such run folder")
        if not self.config.exists():
            raise UsageError(f"{self.path}: holds no run (no config.yaml)")
        try:
            config = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UsageError(f"{self.config}: cannot be read ({str(error).splitlines()[0]})") from error
        if not isinstance(config, dict):
            raise UsageError(f"{self.config}: is not a configuration")
        return config

    def read_record(self) -> RunRecord:
        """Return the record of the run.

        Raises:
            UsageError: when it is missing (the run has not finished) or damaged.
        """
        if not self.is_finished:
            what = "the run has not finished (no result.json)" if self.path.exists() else "no such run folder"
            raise UsageError(f"{self.path}: {what}")
        return read_record(self.result)

    def write_record(self, record: RunRecord) -> None:
        """Write the record atomically; from then on the run is finished."""
        write_record(self.result, record)

    def metrics_log(self, *, writes: bool = True) -> MetricsLog:
        """Return the run's log of epochs; only the first of several processes writes it."""
        return MetricsLog(self.metrics, writes=writes)

    def _clear(self) -> None:
        for name in _OWN:
            entry = self.path / name
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)


def network_of(path: str | Path) -> str | None:
    """Return the name of the network of a run folder; None where there is no run."""
    folder = RunFolder(path)
    return str(folder.read_config()["model"]["name"]) if folder.config.exists() else None


def _difference(key: str, before: object, after: object) -> tuple[str, object, object]:
    if isinstance(before, dict) and isinstance(after, dict):
        for inner in [*before, *after]:
            if before.get(inner) != after.get(inner):
                return _difference(f"{key}.{inner}", before.get(inner), after.get(inner))
    return key, before, after
