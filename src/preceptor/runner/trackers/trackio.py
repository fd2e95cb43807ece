"""trackio: its local store (TRACKIO_DIR), unless TRACKIO_SPACE_ID names a Space of the Hub."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path

from preceptor.runner.trackers.base import TrackedRun, Tracker

__all__ = ["Trackio"]


class Trackio(Tracker):
    """A run of the project "preceptor", or of TRACKIO_PROJECT."""

    def start(self, run: TrackedRun) -> None:
        import trackio  # noqa: PLC0415  (an extra; slow)

        self._package = trackio
        with redirect_stdout(io.StringIO()):  # it greets
            self._run = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", "preceptor"),
                name=run.name,
                config=dict(run.config),
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, numbers: Mapping[str, float], epoch: int) -> None:
        if numbers:
            self._run.log(dict(numbers), step=epoch)

    def finish(self, numbers: Mapping[str, float], epoch: int, files: Sequence[Path]) -> None:
        self.log(numbers, epoch)
        for file in files:
            self._run.log_artifact(file, name=f"{self._run.name}-{file.stem}", type="file")

    def close(self, *, failed: bool) -> None:
        with redirect_stdout(io.StringIO()):
            self._package.finish()  # type: ignore[no-untyped-call]  # the run that it began last; else it would finish it once more at exit
