"""The run folder: config.yaml, metrics.jsonl, result.json, model.safetensors, CSV files, pictures, checkpoint/, stages/.

A folder is claimed before anything is written into it, and bears a mark from then on. Nothing in it is lost without
`overwrite`, which needs the mark.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import yaml
from pydantic import ValidationError

from preceptor.artifacts.metrics_log import MetricsLog
from preceptor.artifacts.own_files import ENTRIES, MARK, STAGES, clear_run, module_files
from preceptor.artifacts.record import RunRecord, read_record, write_record
from preceptor.checksums import sha256_of, sha256_of_file
from preceptor.config.sections import DistillRecipe, TeachRecipe
from preceptor.documents import first_problem, read_yaml
from preceptor.errors import RunError, UsageError
from preceptor.files import LOCK, is_temporary, lock_folder, make_folder, remove_temporaries, write_text
from preceptor.messages import first_difference
from preceptor.reading import read_bytes

__all__ = ["RunFolder", "network_of", "what_matters"]

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
        self._lock: TextIO | None = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()
        self._lock = None

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
        folder = RunFolder(self.path / STAGES / name)
        make_folder(folder.path)
        return folder

    def kept_epochs(self) -> dict[int, Path]:
        """Return the weights files of kept epochs, in order."""
        files = sorted(self.checkpoints.glob("epoch_*.safetensors"))
        return {int(path.stem.removeprefix("epoch_")): path for path in files}

    @property
    def is_finished(self) -> bool:
        """Whether the run has finished; without its configuration it is no run."""
        return self.result.exists() and self.config.exists()

    def check(self, *, resume: bool, overwrite: bool) -> list[str]:
        """Return the names of the folder's entries, if a run may be written there; nothing is changed.

        Args:
            resume: it would continue what is there.
            overwrite: it would delete an earlier run's files.

        Raises:
            UsageError: when it is a file, holds something else, or holds a run that is neither resumed nor overwritten; when both
                are wanted; or when one of the run's files is a link.
        """
        if resume and overwrite:
            raise UsageError(
                "overwrite: resume continues the run in `out`, overwrite deletes it; choose one of the two"
            )
        try:
            if self.path.exists() and not self.path.is_dir():
                raise UsageError(f"out: {self.path} is a file, not a folder")
            names = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        except OSError as error:
            raise UsageError(f"out: {self.path} cannot be read ({error.strerror})") from error
        for name in (LOCK, MARK, *ENTRIES):
            if (self.path / name).is_symlink():
                raise UsageError(f"out: {self.path / name} is a link, and a run writes through none; remove it")
        content = sorted(name for name in names - {LOCK, MARK} if not is_temporary(name))  # of a writer that was killed
        if not self.config.exists():
            if content and MARK not in names:  # with it: a run that was killed while its files were being removed
                raise UsageError(
                    f"out: {self.path} is not empty and holds no run ({content[0]}, ...); choose another folder"
                )
            return content
        if not (resume or overwrite):
            state = "a finished run" if self.is_finished else "an unfinished run (resume=True continues it)"
            raise UsageError(f"out: {self.path} holds {state}; overwrite=True starts it anew")
        if overwrite and MARK not in names:
            raise UsageError(
                f"out: {self.path} was not made by preceptor (it has no {MARK}), so nothing in it is deleted; choose another"
            )
        return content

    def check_same(self, config: Mapping[str, Any]) -> None:
        """Check that a configuration is that of this run, except for keys that may change on resuming.

        Raises:
            UsageError: when it is not: the first difference is named.
        """
        if difference := first_difference(what_matters(self.read_config()), what_matters(config)):
            key, before, now = difference
            raise UsageError(f"out: {self.path} was started with {key}={before}, not {now}; resume needs the same")

    def claim(self, config: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Lock the folder for this run until its `with` block ends, and write its configuration.

        Args:
            config: the resolved configuration, plain values only.
            resume: continue what is there, if its configuration is the same.
            overwrite: delete an earlier run's files first.

        Raises:
            UsageError: when the folder is not empty and may not be used, or another process uses it.
            RunError: when the disk refuses.
        """
        self.check(resume=resume, overwrite=overwrite)
        self._kept.close()  # of an earlier claim
        self._lock = self._kept.enter_context(lock_folder(self.path))
        self.check(resume=resume, overwrite=overwrite)  # it may have changed before it was locked
        if resume and self.config.exists():
            self.check_same(config)
            for folder in (self.path, self.checkpoints):
                remove_temporaries(folder)
        else:
            clear_run(self.path)
        write_text(
            self.path / MARK, "A run of preceptor: overwrite=true removes the files of the run from this folder.\n"
        )
        write_text(self.config, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def read_config(self) -> dict[str, Any]:
        """Return the configuration of the run, with every key of its recipe.

        Raises:
            UsageError: when the folder holds no run, or its configuration is damaged or not the one that a finished run had.
        """
        if not self.path.exists():
            raise UsageError(f"{self.path}: no such run folder")
        if not self.config.exists():
            raise UsageError(f"{self.path}: holds no run (no config.yaml)")
        config = read_yaml(self.config)
        recipe = {each.kind: each for each in (TeachRecipe, DistillRecipe)}.get(config.pop("kind", None))
        if recipe is None:
            raise UsageError(f"{self.config}: kind: is neither teach nor distill")
        try:
            values = recipe.model_validate(config).model_dump(mode="json")
        except ValidationError as error:
            raise UsageError(f"{self.config}: {first_problem(error)}; the file is damaged or was changed") from error
        record = read_record(self.result) if self.is_finished else None
        if record is not None and "config.yaml" in record.checksums:  # not of a run of an earlier version
            self._check(self.config, record, "restore it")
        return {"kind": recipe.kind, **values}

    def read_record(self) -> RunRecord:
        """Return the record of the run.

        Raises:
            UsageError: when it is missing (the run has not finished) or damaged, or the metrics.jsonl beside it is.
        """
        if not self.is_finished:
            what = "the run has not finished (no result.json)" if self.path.exists() else "no such run folder"
            raise UsageError(f"{self.path}: {what}")
        record = read_record(self.result)
        if self.metrics.exists():
            self._check(self.metrics, record, "restore it, or delete it: result.json has its rows too")
        return record

    def read_weights(self, weights: Path | None = None) -> Path:
        """Return the weights file of the result, or of a kept epoch, which is the one that the run wrote.

        Raises:
            UsageError: when the run has not finished, or the file is missing or another one.
        """
        weights = weights or self.weights
        self._check(weights, self.read_record(), "to use it all the same, name the file itself")
        return weights

    def checksums(self) -> dict[str, str]:
        """Return the sha256 of the files that a finished run leaves, by their names in the folder."""
        own = (self.config, self.weights, self.metrics)
        files = (*own, *self.kept_epochs().values(), *module_files(self.path).values())
        return {self._name(file): sha256_of_file(file) for file in files if file.exists()}

    def _name(self, file: Path) -> str:
        return file.relative_to(self.path).as_posix()

    def _check(self, file: Path, record: RunRecord, advice: str) -> None:
        if sha256_of(read_bytes(file)) != record.checksums.get(self._name(file)):
            what = "is damaged, or is not the file that the run wrote (result.json has another sha256)"
            raise UsageError(f"{file}: {what}; {advice}")

    def write_record(self, record: RunRecord) -> None:
        """Write the record atomically; from then on the run is finished."""
        write_record(self.result, record)

    def metrics_log(self, *, writes: bool = True) -> MetricsLog:
        """Return the run's log of epochs; only the first of several processes writes it."""
        return MetricsLog(self.metrics, writes=writes)

    def check_kept(self) -> None:
        """Check that the folder is still the one that this process has claimed, if it has claimed one.

        Raises:
            RunError: when it has been deleted or replaced.
        """
        if self._lock is None:
            return
        try:
            is_kept = (
                os.path.samestat(os.fstat(self._lock.fileno()), (self.path / LOCK).stat()) and self.config.exists()
            )
        except OSError:
            is_kept = False
        if not is_kept:
            raise RunError(
                f"{self.path}: the run's folder was deleted or replaced while it ran; nothing more is written into it"
            )


def network_of(path: str | Path) -> str | None:
    """Return the name of the network of a run folder; None where there is no run."""
    folder = RunFolder(path)
    return str(folder.read_config()["model"]["name"]) if folder.config.exists() else None


def what_matters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a configuration that its run's result depends on, sorted."""
    return {key: config[key] for key in sorted(config) if key not in _FREE_TO_CHANGE}
