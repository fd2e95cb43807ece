from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.runner.trackers.base import TrackedRun
from preceptor.runner.trackers.tensorboard import TensorBoard


def test_events_are_in_the_run_folder(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    tracker = TensorBoard()
    tracker.start(TrackedRun("t-1", tmp_path, {"seed": 3}))
    tracker.log({"train/loss": 2.0}, 1)
    tracker.log({"train/loss": 1.0}, 2)
    tracker.finish({"test/accuracy": 0.75}, 2, ())
    tracker.close(failed=False)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("train/loss")] == [(1, 2.0), (2, 1.0)]
    assert [(each.step, each.value) for each in events.Scalars("test/accuracy")] == [(2, 0.75)]
    assert "config/text_summary" in events.Tags()["tensors"]
