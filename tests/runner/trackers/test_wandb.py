"""Weights & Biases' offline files, where it is installed; the project itself does not install it."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.runner.trackers.base import TrackedRun
from preceptor.runner.trackers.wandb import WandB


def test_a_run_in_offline_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install preceptor[wandb]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = WandB()
    tracker.start(TrackedRun("t-1", tmp_path, {"seed": 3}))
    tracker.log({"train/loss": 2.0}, 1)
    tracker.finish({"test/accuracy": 0.75}, 1, [])
    tracker.close(failed=False)
    assert list((tmp_path / "wandb").glob("offline-run-*t-1/*.wandb"))
