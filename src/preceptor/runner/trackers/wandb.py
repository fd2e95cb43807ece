"""Weights & Biases: offline files in the run's folder, wandb/, unless WANDB_MODE=online.

Written to its documentation and not run by the project's tests, which do not install it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from preceptor.runner.trackers.base import TrackedRun, Tracker

__all__ = ["WandB"]


class WandB(Tracker):
    """A run of the project "preceptor", or of WANDB_PROJECT; `wandb sync` uploads one that was offline."""

    def start(self, run: TrackedRun) -> None:
        import wandb  # noqa: PLC0415  (an extra; slow)

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "preceptor"),
            id=run.name,
            name=run.name,
            dir=str(run.folder),
            config=dict(run.config),
            resume="allow",
            mode=os.environ.get("WANDB_MODE", "offline"),
        )

    def log(self, numbers: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(numbers), step=epoch)

    def finish(self, numbers: Mapping[str, float], epoch: int, files: Sequence[Path]) -> None:
        self._run.summary.update(dict(numbers))
        for file in files:
            self._run.save(str(file), base_path=str(file.parent), policy="now")

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))
