"""Which cell runs next, on an executor that is told how each ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from grids import cell
from preceptor.experiments import schedule
from preceptor.experiments.cells import Cell
from preceptor.experiments.executor import Job, Launch
from preceptor.experiments.schedule import CellStatus, Progress, run_cells, status_of
from preceptor.experiments.store import CellState, Store


class Told:
    """A job that ends, after some looks at it, with a given status; with 0 it leaves a result."""

    pid, where = 1, "here"

    def __init__(self, own: Cell, code: int, looks: int) -> None:
        self.cell, self.code, self.looks = own, code, looks
        self.stopped = self.killed = False

    def poll(self) -> int | None:
        self.looks -= 1
        if self.killed:
            return -signal.SIGKILL
        if self.stopped:
            return 128 + signal.SIGTERM
        if self.looks > 0:
            return None
        if self.code == 0:
            (self.cell.run / "checkpoint").mkdir(parents=True, exist_ok=True)
            for name in ("config.yaml", "result.json"):
                (self.cell.run / name).touch()
        return self.code

    def stop(self) -> None:
        self.stopped = True

    def kill(self) -> None:
        self.killed = True


class Scripted:
    """Runs cells that end as a script says, by id: one status for each time they are started."""

    def __init__(self, size: int = 2, looks: int = 2, **codes: Iterable[int]) -> None:
        self.size, self.looks = size, looks
        self.codes = {name.replace("_", "-"): list(each) for name, each in codes.items()}
        self.jobs: list[Told] = []
        self.commands: list[list[str]] = []
        self.most = 0
        self.is_closed = False

    def has_room(self, others: int) -> bool:
        return sum(job.looks > 0 for job in self.jobs) + others < self.size

    def start(self, launch: Launch) -> Job:
        self.commands.append(list(launch.command))
        codes = self.codes.get(launch.cell.id, [0])
        launch.log.write_text(f"error: {launch.cell.id} broke\n")
        self.jobs.append(Told(launch.cell, codes.pop(0), self.looks))
        self.most = max(self.most, sum(job.looks > 0 for job in self.jobs))
        return self.jobs[-1]

    def close(self) -> None:
        self.is_closed = True


class Heard:
    """Notes what happens."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.details: list[str] = []

    def started(self, own: Cell, where: str) -> None:
        self.events.append(("start", own.id))

    def ended(self, own: Cell, stand: CellStatus, detail: str) -> None:
        self.events.append((stand, own.id))
        self.details.append(detail)

    def stopped(self, own: Cell) -> None:
        self.events.append(("stopped", own.id))

    def refresh(self, progress: Progress) -> None:
        """Nothing."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(schedule, "_LOOK_SECONDS", 0.0)


def cells_in(folder: Path) -> list[Cell]:
    """Return two teachers, and two students of the first and one of the second."""
    students = [cell(folder, number, teacher=f"teach-{teacher}") for number, teacher in ((1, 0), (2, 0), (3, 9))]
    return [cell(folder, 0), students[0], students[1], cell(folder, 9), students[2]]


def ran(
    folder: Path, executor: Scripted, *, retry: bool = False, stops: Callable[[], int] = lambda: 0
) -> tuple[dict[str, CellStatus], Heard, Store]:
    """Run those cells."""
    store, heard = Store(folder), Heard()
    return run_cells(cells_in(folder), store, executor, heard, retry=retry, stops=stops), heard, store


def test_a_cell_starts_when_there_is_room_and_what_it_needs_is_done(tmp_path: Path) -> None:
    executor = Scripted(size=2)
    stands, heard, store = ran(tmp_path, executor)
    assert set(stands.values()) == {"done"}
    assert executor.most == 2
    assert executor.is_closed
    events = heard.events
    for own in cells_in(tmp_path):
        for need in own.needs:
            assert events.index(("done", need)) < events.index(("start", own.id))
    state = store.state(cell(tmp_path, 0))
    assert (state.state, state.attempts, state.exit, state.kind) == ("done", 1, 0, "teach")
    again = Scripted()
    assert ran(tmp_path, again)[0] == stands
    assert again.commands == []


def test_a_failed_cell_blocks_only_what_needs_it_and_runs_again_on_request(tmp_path: Path) -> None:
    stands, heard, store = ran(tmp_path, Scripted(teach_0=[1]))
    assert stands == {
        **{"teach-0": "failed", "distill-1": "blocked", "distill-2": "blocked"},
        **{"teach-9": "done", "distill-3": "done"},
    }
    assert "needs teach-0" in heard.details
    assert store.state(cell(tmp_path, 0)).error == "teach-0 broke"
    assert status_of(cells_in(tmp_path), store) == stands
    same = Scripted()
    assert ran(tmp_path, same)[0] == stands
    assert same.commands == []
    stands, _, store = ran(tmp_path, Scripted(), retry=True)
    assert set(stands.values()) == {"done"}
    assert store.state(cell(tmp_path, 0)).attempts == 2
    assert store.state(cell(tmp_path, 0)).error is None


def test_a_cell_that_fails_when_it_is_retried_is_not_retried_again(tmp_path: Path) -> None:
    ran(tmp_path, Scripted(teach_0=[1]))
    executor = Scripted(teach_0=[2])
    assert ran(tmp_path, executor, retry=True)[0]["teach-0"] == "failed"
    assert len(executor.commands) == 1


def test_a_killed_cell_is_resumed_three_times_at_most(tmp_path: Path) -> None:
    executor = Scripted(teach_0=[-9, 137, 0], teach_9=[-9, -9, -9])
    stands, heard, store = ran(tmp_path, executor)
    assert (stands["teach-0"], stands["teach-9"], stands["distill-3"]) == ("done", "failed", "blocked")
    assert store.state(cell(tmp_path, 9)).error == "was killed 3 times (SIGKILL)"
    assert ("waiting", "teach-0") in heard.events
    assert all("resume=true" in command for command in executor.commands)


def test_a_cell_that_ends_well_without_a_result_has_failed(tmp_path: Path) -> None:
    labels, store = cell(tmp_path, 5, verb="label"), Store(tmp_path)
    stands = run_cells([labels], store, Scripted(), Heard())
    assert stands == {"label-5": "failed"}
    assert store.state(labels).error == "ended without a result"


def test_a_run_that_did_not_keep_what_others_need_runs_anew(tmp_path: Path) -> None:
    plain, keeping = cell(tmp_path), cell(tmp_path, kept=(2,))
    store = Store(tmp_path)
    run_cells([plain], store, Scripted(), Heard())
    executor = Scripted(teach_0=[0])
    stands = run_cells([keeping], store, executor, Heard())  # this script keeps none, however often it runs
    assert [command[-1] for command in executor.commands] == ["overwrite=true"]
    assert (stands["teach-0"], store.state(keeping).error) == ("failed", "did not keep every epoch that others need")


def test_when_asked_to_stop_cells_save_and_the_next_command_continues(tmp_path: Path) -> None:
    executor = Scripted(size=2, looks=1000)
    looks = iter([0, 0, 1])
    stands, heard, store = ran(tmp_path, executor, stops=lambda: next(looks, 1))
    assert heard.events[-2:] == [("stopped", "teach-0"), ("stopped", "teach-9")]
    assert [job.stopped for job in executor.jobs] == [True, True]
    assert set(stands.values()) == {"waiting"}
    assert store.state(cell(tmp_path, 0)).state == "queued"
    assert set(ran(tmp_path, Scripted())[0].values()) == {"done"}


def test_the_second_request_kills(tmp_path: Path) -> None:
    executor = Scripted(size=1, looks=1000)
    executor_stop = Told.stop
    looks = iter([0, 1, 2])
    try:
        Told.stop = lambda self: None  # type: ignore[method-assign]
        ran(tmp_path, executor, stops=lambda: next(looks, 2))
    finally:
        Told.stop = executor_stop  # type: ignore[method-assign]
    assert executor.jobs[0].killed


def test_a_cell_of_another_process_is_waited_for_and_not_run_twice(tmp_path: Path) -> None:
    store, own = Store(tmp_path), cell(tmp_path)
    lock = store.lock(own)
    assert lock is not None
    store.write_state(own, CellState("running", pid=7, host="node"))
    polls = 0

    def stops() -> int:
        nonlocal polls
        polls += 1
        if polls == 20:  # the other process is done
            own.run.mkdir()
            for name in ("config.yaml", "result.json"):
                (own.run / name).touch()
            lock.close()
        return 0

    executor, heard = Scripted(), Heard()
    stands = run_cells(cells_in(tmp_path)[:3], store, executor, heard, stops=stops)
    assert set(stands.values()) == {"done"}
    assert heard.events[0] == ("elsewhere", "teach-0")
    assert heard.details[0] == "process 7 on node runs it"
    assert [command[1] for command in executor.commands] == ["distill", "distill"]


def test_a_cell_whose_other_process_dies_is_continued_here(tmp_path: Path) -> None:
    store, own = Store(tmp_path), cell(tmp_path)
    lock = store.lock(own)
    assert lock is not None
    looks = iter(range(10))
    stands = run_cells([own], store, Scripted(), Heard(), stops=lambda: lock.close() or 0 if next(looks, 9) == 8 else 0)
    assert stands == {"teach-0": "done"}


def test_an_error_of_the_loop_leaves_no_process(tmp_path: Path) -> None:
    executor = Scripted(looks=1000)

    def stops() -> int:
        if executor.jobs:
            raise RuntimeError("a fault")
        return 0

    with pytest.raises(RuntimeError, match="a fault"):
        ran(tmp_path, executor, stops=stops)
    assert all(job.killed for job in executor.jobs)
