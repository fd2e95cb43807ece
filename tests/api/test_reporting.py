"""`preceptor.report`, the verb, is not a package's name."""

from __future__ import annotations

from pathlib import Path

import pytest

import preceptor
import preceptor.reports
from small_grid import write_grid


def test_the_verb(tmp_path: Path) -> None:
    write_grid(tmp_path)
    made = preceptor.report(str(tmp_path))
    assert isinstance(made, preceptor.Report)
    assert made.page == tmp_path / "report.html"
    assert made.page.exists()
    assert [len(table.rows) for table in made.tables[:3]] == [4, 1, 2]


def test_the_page_goes_to_a_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install preceptor[mlflow]")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    write_grid(tmp_path / "grid")
    for _ in range(2):  # the second time it is the same run
        preceptor.report("grid", track="mlflow")
    client = mlflow.MlflowClient()
    (stored,) = client.search_runs([client.get_experiment_by_name("preceptor").experiment_id])
    assert stored.info.run_name.startswith("grid-")
    names = [each.path for each in client.list_artifacts(stored.info.run_id)]
    assert sorted(names) == ["report.csv", "report.html", "report.md"]


def test_a_missing_tracker_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preceptor.runner.trackers.choose.find_spec", lambda name: None)
    write_grid(tmp_path)
    with pytest.raises(preceptor.UsageError, match="track: trackio is not installed"):
        preceptor.report(tmp_path, track=["trackio"])
    assert not (tmp_path / "report.html").exists()
