"""What became of each cell, on disk."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from grids import cell
from preceptor.errors import UsageError
from preceptor.experiments.store import CellState, Store


def test_a_state_is_read_back_and_a_damaged_one_is_a_failure(tmp_path: Path) -> None:
    store, teacher = Store(tmp_path / "cells"), cell(tmp_path / "cells")
    assert store.state(teacher) == CellState()
    state = CellState("failed", attempts=2, seconds=1.5, exit=1, error="why", pid=3, host="h", grid=4, where="local")
    store.write_state(teacher, state)
    assert store.state(teacher) == state
    assert list(store.states()) == [state]
    (tmp_path / "cells" / "teach-0.state.json").write_text("{")
    assert store.state(teacher).state == "failed"
    assert "teach-0.state.json: cannot be read" in str(store.state(teacher).error)
    store.write_state(teacher, state)
    path = tmp_path / "cells" / "teach-0.state.json"
    path.write_text(path.read_text().replace('"why"', '"how"'))
    assert "its sha256 differs" in str(store.state(teacher).error)


def test_files_and_the_lock_count_more_than_what_was_written(tmp_path: Path) -> None:
    store, teacher = Store(tmp_path), cell(tmp_path, kept=(2,))
    assert store.status(teacher) == "queued"
    store.write_state(teacher, CellState("failed"))
    assert store.status(teacher) == "failed"
    lock = store.lock(teacher)
    assert lock is not None
    assert store.lock(teacher) is None
    assert store.status(teacher) == "running"
    lock.close()
    teacher.run.mkdir()
    for name in ("config.yaml", "result.json"):
        (teacher.run / name).touch()
    assert (store.is_finished(teacher), store.is_done(teacher)) == (True, False)  # an epoch is missing
    (teacher.run / "checkpoint").mkdir()
    (teacher.run / "checkpoint" / "epoch_0002.safetensors").touch()
    assert store.status(teacher) == "done"


def test_stored_outputs_are_done_when_every_file_is_there(tmp_path: Path) -> None:
    labels = cell(tmp_path, verb="label", epochs=2)
    assert not Store(tmp_path).is_done(labels)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("note: x\nerror: no teacher\n", "no teacher"),
        ("a\nb\n\n", "b"),
        ("", "it said nothing"),
        ("x" * 9000 + "\nerror: " + "y" * 400, "y" * 300),
    ],
)
def test_the_last_words_of_a_cell_are_its_error_or_its_last_line(tmp_path: Path, log: str, words: str) -> None:
    store = Store(tmp_path)
    store.log(cell(tmp_path)).write_text(log)
    assert store.last_words(cell(tmp_path)) == words


def test_a_cell_whose_grid_is_gone_is_an_orphan() -> None:
    state = CellState("running", host=socket.gethostname(), grid=os.getpid())
    assert not state.is_orphan
    assert replace(state, grid=2**22 + 1).is_orphan  # above the largest process number
    assert not replace(state, grid=2**22 + 1, host="elsewhere").is_orphan
    assert not replace(state, grid=2**22 + 1, state="done").is_orphan


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cells: .*file/cells cannot be made"):
        Store(tmp_path / "file" / "cells")
