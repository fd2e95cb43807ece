"""MLflow: its local store, unless MLFLOW_TRACKING_URI names a server."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from preceptor.runner.trackers.base import TrackedRun, Tracker

__all__ = ["MLflow"]

_TAG = "preceptor.run"
_MOST = 100  # parameters of one call


class MLflow(Tracker):
    """A run of the experiment "preceptor", or of MLFLOW_EXPERIMENT_NAME: parameters, metrics, files."""

    def start(self, run: TrackedRun) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415  (an extra; slow)
        from mlflow.entities import Metric, Param  # noqa: PLC0415

        self._client, self._metric = MlflowClient(), Metric
        experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "preceptor"))
        before = self._client.search_runs([experiment], f"tags.`{_TAG}` = '{run.name}'")
        if before:
            self._run = before[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            return
        self._run = self._client.create_run(experiment, tags={_TAG: run.name}, run_name=run.name).info.run_id
        params = [Param(key, str(value)) for key, value in run.config.items()]
        for first in range(0, len(params), _MOST):
            self._client.log_batch(self._run, params=params[first : first + _MOST])

    def log(self, numbers: Mapping[str, float], epoch: int) -> None:
        now = int(1000 * time.time())
        self._client.log_batch(self._run, [self._metric(name, value, now, epoch) for name, value in numbers.items()])

    def finish(self, numbers: Mapping[str, float], epoch: int, files: Sequence[Path]) -> None:
        self.log(numbers, epoch)
        for file in files:
            self._client.log_artifact(self._run, str(file))

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")

    def _experiment(self, name: str) -> str:
        """Return the experiment's id, made where it does not exist; another process may make it at the same time."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except Exception:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)
