"""What a run tells its trackers: its configuration, its epochs, its final metrics, its files. A tracker never stops a run."""

from __future__ import annotations

import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Self

from preceptor.checksums import CHANGED, sha256_of
from preceptor.errors import UsageError
from preceptor.files import write_text
from preceptor.messages import first_line
from preceptor.reading import read_text
from preceptor.training import Callback, EpochRow, TrainState

__all__ = ["TrackedRun", "Tracker", "Tracking", "epoch_numbers", "flat"]

_ID_FILE = "track.id"
_LONGEST_ID = 256  # bytes


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run as trackers know it.

    Attributes:
        name: of its folder, with an id that a resumed run keeps.
        folder: of the run.
        config: the resolved configuration, one value per dotted key.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]


class Tracker(ABC):
    """A place where runs are logged. Its package has been found; everything else may fail."""

    @abstractmethod
    def start(self, run: TrackedRun) -> None:
        """Begin a run, or go on with it where it was resumed."""

    @abstractmethod
    def log(self, numbers: Mapping[str, float], epoch: int) -> None:
        """Log the numbers of an epoch."""

    @abstractmethod
    def finish(self, numbers: Mapping[str, float], epoch: int, files: Sequence[Path]) -> None:
        """Log the final numbers and files."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End the run; called once after a start, whatever else failed."""


class Tracking(Callback):
    """All trackers of a run, a context: one that fails is told in a line and left out from then on.

    Args:
        trackers: by name.
        tell: is called with a line per failure.
    """

    def __init__(self, trackers: Mapping[str, Tracker], tell: Callable[[str], None]) -> None:
        self._trackers = dict(trackers)
        self._tell = tell
        self._started: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for name in self._started:
            self._try(name, lambda tracker: tracker.close(failed=kind is not None))

    def start(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Begin, once the run's folder is claimed.

        Args:
            folder: of the run.
            config: the resolved configuration.
        """
        if not self._trackers:
            return
        log = folder / "metrics.jsonl"
        if log.exists() and log.stat().st_size and not os.path.lexists(folder / _ID_FILE):
            self._tell(f"track: {folder} has epochs and no {_ID_FILE}: what follows is logged as another run")
        run = TrackedRun(f"{folder.name}-{_id_of(folder)}", folder, dict(flat(config)))
        for name in [*self._trackers]:
            self._started.append(name)
            self._try(name, lambda tracker: tracker.start(run))

    def epoch_ended(self, row: EpochRow, state: TrainState) -> None:
        """Log the epoch."""
        for name in [*self._trackers]:
            self._try(name, lambda tracker: tracker.log(epoch_numbers(row), row.epoch))

    def finish(self, test: Mapping[str, Any], epoch: int, files: Sequence[Path]) -> None:
        """Log the final metrics and files.

        Args:
            test: metrics on test.
            epoch: the last one.
            files: of the run.
        """
        numbers = {f"test/{name}": float(value) for name, value in test.items() if isinstance(value, int | float)}
        for name in [*self._trackers]:
            self._try(name, lambda tracker: tracker.finish(numbers, epoch, files))

    def _try(self, name: str, action: Callable[[Tracker], None]) -> None:
        """Do something with a tracker, unless it has failed before."""
        tracker = self._trackers.get(name)
        if tracker is None:
            return
        try:
            action(tracker)
        except Exception as error:  # a tracker may raise anything: network, disk, its own bugs
            del self._trackers[name]
            self._tell(f"track: {name} failed, and the run goes on without it ({first_line(error)})")
            with suppress(Exception):
                tracker.close(failed=True)


def epoch_numbers(row: EpochRow) -> dict[str, float]:
    """Return an epoch's numbers by the names under which they are logged."""
    return {
        "train/loss": row.loss,
        **({} if row.accuracy is None else {"train/accuracy": row.accuracy}),
        "lr": row.lr,
        "images_per_second": row.images_per_second,
        **{f"terms/{name}": value for name, value in row.terms.items()},
        **{f"validation/{name}": value for name, value in row.validation.items()},
    }


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a configuration's values with their dotted keys.

    Examples:
        >>> dict(flat({"optim": {"lr": 0.1}, "seed": 0}))
        {'optim.lr': 0.1, 'seed': 0}
    """
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _id_of(folder: Path) -> str:
    """Return the run's id, which stands in its folder, with its sha256, so that a resumed run goes on under it.

    Raises:
        UsageError: when the file is damaged.
    """
    path = folder / _ID_FILE
    if not os.path.lexists(path):
        name = uuid.uuid4().hex[:8]
        write_text(path, f"{name} {sha256_of(name.encode())}\n")
    content = read_text(path, "track: ", most=_LONGEST_ID)
    name = content.split(" ")[0]
    if content != f"{name} {sha256_of(name.encode())}\n":
        raise UsageError(f"track: {path}: {CHANGED}; delete it, and trackers begin another run")
    return name
