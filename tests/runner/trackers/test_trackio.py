"""trackio's local store, where trackio is installed; in a process of its own, for the package reads its folder at import."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from started import run

SCRIPT = """
import json, sys
from pathlib import Path
from preceptor.runner.trackers.base import TrackedRun
from preceptor.runner.trackers.trackio import Trackio
place = Path(sys.argv[1])
(place / "result.json").write_text("{}")
tracked = TrackedRun("t-1", place, {"seed": 3, "optim.lr": 0.1})
for epoch in (1, 2):  # the second after an interruption
    tracker = Trackio()
    tracker.start(tracked)
    tracker.log({"train/loss": 3.0 - epoch}, epoch)
    if epoch == 2:
        tracker.finish({"test/accuracy": 0.75}, 2, [place / "result.json"])
    tracker.close(failed=epoch == 1)
import trackio
from trackio.sqlite_storage import SQLiteStorage
(stored,) = trackio.Api().runs("preceptor")
print(json.dumps({"name": stored.name, "config": stored.config, "logs": SQLiteStorage.get_logs("preceptor", "t-1"),
                  "files": [each["name"] for each in SQLiteStorage.get_artifacts("preceptor")]}))
"""


def test_a_run_in_the_local_store(tmp_path: Path) -> None:
    if find_spec("trackio") is None:
        pytest.skip("trackio is not installed: pip install preceptor[trackio]")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run([str(tmp_path / "script.py"), str(tmp_path)], env={"TRACKIO_DIR": str(tmp_path / "trackio")}, check=True)
    stored = json.loads(done.stdout)  # the tracker itself writes nothing there
    assert (stored["name"], stored["config"]["seed"], stored["config"]["optim.lr"]) == ("t-1", 3, 0.1)
    rows = [{key: value for key, value in row.items() if key != "timestamp"} for row in stored["logs"]]
    assert rows == [
        {"train/loss": 2.0, "step": 1},
        {"train/loss": 1.0, "step": 2},
        {"test/accuracy": 0.75, "step": 2},
    ]
    assert stored["files"] == ["t-1-result"]
