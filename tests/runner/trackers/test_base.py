"""What a run tells its trackers, and that none of them can stop it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from preceptor.api.training import teach
from preceptor.errors import UsageError
from preceptor.runner.trackers import choose
from preceptor.runner.trackers.base import TrackedRun, Tracker, Tracking

SMALL = {"name": "digits", "limit": 64}


class Recorder(Tracker):
    """Keeps what it is told; fails in one method."""

    fails_in = ""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def start(self, run: TrackedRun) -> None:
        self._note("start", run)

    def log(self, numbers: Mapping[str, float], epoch: int) -> None:
        self._note("log", (dict(numbers), epoch))

    def finish(self, numbers: Mapping[str, float], epoch: int, files: Sequence[Path]) -> None:
        self._note("finish", (dict(numbers), epoch, [file.name for file in files]))

    def close(self, *, failed: bool) -> None:
        self._note("close", failed)

    def _note(self, name: str, value: object) -> None:
        self.told.append((name, value))
        if name == self.fails_in:
            raise ConnectionError(f"no server in {name}\nand more")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    """The recorders that runs with track=mlflow make."""
    recorders: list[Recorder] = []

    def make() -> Recorder:
        recorders.append(Recorder())
        return recorders[-1]

    monkeypatch.setattr(choose, "_TRACKERS", {"mlflow": make})
    monkeypatch.setattr(choose, "find_spec", lambda name: True)
    return recorders


def test_a_run_tells_its_configuration_epochs_and_result(tmp_path: Path, made: list[Recorder]) -> None:
    result = teach(data=SMALL, model="convnet_s", epochs=2, seed=3, out=tmp_path / "t", progress=False, track="mlflow")
    start, first, second, finish, close = made[0].told
    assert isinstance(start[1], TrackedRun)
    assert start[1].name.startswith("t-")
    assert (start[1].config["model.name"], start[1].config["seed"], start[1].folder) == (
        "convnet_s",
        3,
        tmp_path / "t",
    )
    numbers, epoch = first[1]
    row = result.record.history[0]
    assert (numbers["train/loss"], numbers["validation/accuracy"], epoch) == (
        row["train"]["loss"],
        row["validation"]["accuracy"],
        1,
    )
    assert second[1][1] == 2
    final, last, files = finish[1]
    assert (final["test/accuracy"], last, files) == (
        result.metrics.accuracy,
        2,
        ["config.yaml", "result.json"],
    )
    assert close == ("close", False)


def test_a_resumed_run_keeps_its_name_and_a_new_one_gets_its_own(tmp_path: Path, made: list[Recorder]) -> None:
    for _ in range(2):
        with Tracking({"mlflow": Recorder()}, print) as tracking:
            tracking.start(tmp_path, {})
            made.append(tracking._trackers["mlflow"])  # type: ignore[arg-type]
    (tmp_path / "track.id").unlink()
    with Tracking({"mlflow": Recorder()}, print) as tracking:
        tracking.start(tmp_path, {})
        made.append(tracking._trackers["mlflow"])  # type: ignore[arg-type]
    first, again, other = (recorder.told[0][1].name for recorder in made)  # type: ignore[attr-defined]
    assert first == again != other


def test_a_damaged_name_is_refused(tmp_path: Path) -> None:
    def start() -> None:
        with Tracking({"mlflow": Recorder()}, print) as tracking:
            tracking.start(tmp_path, {})

    start()
    path = tmp_path / "track.id"
    path.write_text(("1" if path.read_text()[0] != "1" else "2") + path.read_text()[1:])
    with pytest.raises(UsageError, match=r"track\.id: is damaged, .*; delete it, and trackers begin another run$"):
        start()


def test_a_lost_name_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    for content in ("", '{"epoch": 1}\n'):
        (tmp_path / "metrics.jsonl").write_text(content)
        (tmp_path / "track.id").unlink(missing_ok=True)
        with Tracking({"mlflow": Recorder()}, lines.append) as tracking:
            tracking.start(tmp_path, {})
    assert lines == [f"track: {tmp_path} has epochs and no track.id: what follows is logged as another run"]


@pytest.mark.parametrize("place", ["start", "log", "finish", "close"])
def test_a_tracker_that_fails_is_told_once(
    tmp_path: Path,
    made: list[Recorder],
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Recorder, "fails_in", place)
    result = teach(data=SMALL, model="convnet_s", epochs=2, out=tmp_path / "t", track=["mlflow"])
    assert result.record.history[-1]["epoch"] == 2
    line = f"note: track: mlflow failed, and the run goes on without it (no server in {place})"
    assert [said for said in capsys.readouterr().err.splitlines() if said.startswith("note: track")] == [line]
    assert [name for name, _ in made[0].told].count(place) == (1 if place != "close" else 2)
    assert made[0].told[-1][0] == "close"


def test_the_run_is_told_to_have_failed(tmp_path: Path) -> None:
    recorder = Recorder()
    tracking = Tracking({"mlflow": recorder}, print)
    tracking.start(tmp_path, {})
    tracking.__exit__(RuntimeError, RuntimeError("stop"), None)
    assert recorder.told[-1] == ("close", True)


def test_without_trackers_nothing_is_written(tmp_path: Path) -> None:
    with Tracking({}, print) as tracking:
        tracking.start(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
