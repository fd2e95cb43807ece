"""TensorBoard: events in the run's own folder, tensorboard/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from preceptor.runner.trackers.base import TrackedRun, Tracker

__all__ = ["TensorBoard"]


class TensorBoard(Tracker):
    """Scalars per epoch, test at the last one; the configuration as text."""

    def start(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (slow)

        self._writer = SummaryWriter(str(run.folder / "tensorboard"))  # type: ignore[no-untyped-call]
        lines = yaml.safe_dump(dict(run.config), sort_keys=False).splitlines()
        self._writer.add_text("config", "\n".join(f"    {line}" for line in lines))  # type: ignore[no-untyped-call]

    def log(self, numbers: Mapping[str, float], epoch: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, epoch)  # type: ignore[no-untyped-call]

    def finish(self, numbers: Mapping[str, float], epoch: int, files: Sequence[Path]) -> None:
        self.log(numbers, epoch)

    def close(self, *, failed: bool) -> None:
        self._writer.close()  # type: ignore[no-untyped-call]
