"""MLflow's local store, where MLflow is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from preceptor.runner.trackers.base import TrackedRun
from preceptor.runner.trackers.mlflow import MLflow


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an empty store."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install preceptor[mlflow]")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.chdir(tmp_path)  # where files go
    return mlflow.MlflowClient()


def test_a_run_in_the_local_store(tmp_path: Path, client: Any) -> None:
    file = tmp_path / "result.json"
    file.write_text("{}")
    run = TrackedRun("t-1", tmp_path, {"seed": 3, **{f"key{number}": "x" * 600 for number in range(150)}})
    tracker = MLflow()
    tracker.start(run)
    tracker.log({"train/loss": 2.0}, 1)
    tracker.close(failed=True)  # interrupted
    resumed = MLflow()
    resumed.start(run)
    resumed.log({"train/loss": 1.0}, 2)
    resumed.finish({"test/accuracy": 0.75}, 2, [file])
    resumed.close(failed=False)
    (stored,) = client.search_runs([client.get_experiment_by_name("preceptor").experiment_id])
    assert (stored.info.run_name, stored.info.status) == ("t-1", "FINISHED")
    assert (stored.data.params["seed"], len(stored.data.params)) == ("3", 151)
    assert stored.data.metrics == {"train/loss": 1.0, "test/accuracy": 0.75}
    history = client.get_metric_history(stored.info.run_id, "train/loss")
    assert [(each.step, each.value) for each in history] == [(1, 2.0), (2, 1.0)]
    assert [each.path for each in client.list_artifacts(stored.info.run_id)] == ["result.json"]
