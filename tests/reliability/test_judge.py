"""The campaign's own words: each outcome is recognised, so that a failure cannot pass for a success."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.child import Ended, fork, watch_outside, watch_writes
from campaign.damage import NotApplicable, damage, kinds_of
from campaign.judge import judged
from campaign.subjects import Subject

OURS = Subject("a", "t/result.json", "json", (), ())
THEIRS = Subject("b", "a.csv", "csv", (), (), is_ours=False)
WELL = Ended(0, "", "", 1.0)
ONE = "error: t/result.json: cannot be read\n"


def ended(status: int, err: str = "", *, timed_out: bool = False) -> Ended:
    return Ended(status, "", err, 1.0, timed_out)


@pytest.mark.parametrize(
    ("end", "same", "content", "outcome"),
    [
        (ended(2, ONE), None, "other", "refused"),
        (ended(1, ONE + ONE), None, "other", "several lines"),
        (ended(3, ONE), None, "other", "several lines"),
        (ended(1), None, "other", "several lines"),
        (ended(1, "error: KeyError: 'a'  (--debug shows where)\n"), None, "other", "bare exception"),
        (ended(1, "error: MemoryError:   (--debug shows where)\n"), None, "other", "memory"),
        (ended(1, "Traceback (most recent call last):\n"), None, "other", "traceback"),
        (ended(-signal.SIGSEGV), None, "other", "crash"),
        (ended(-signal.SIGKILL, timed_out=True), None, "other", "hang"),
        (ended(0, "reached out: os.system b'id'\n"), True, "same", "reached out"),
        (ended(0), True, "same", "harmless"),
        (ended(0), True, "other", "unnoticed"),
        (ended(0), False, "other", "other result"),
        (ended(0), False, "same", "other result"),
        (ended(0), True, "mended", "unnoticed"),
        (ended(0, "note: result.json is damaged\n"), True, "other", "told"),
    ],
)
def test_each_outcome_has_its_word(end: Ended, same: bool | None, content: str, outcome: str) -> None:
    assert judged(OURS, end, WELL, same=same, content=content) == outcome


def test_files_of_the_user_may_say_something_else() -> None:
    assert judged(THEIRS, ended(0), WELL, same=False, content="other") == "other data"
    trained = ended(-signal.SIGKILL, "epoch  1  loss 2.3\n", timed_out=True)
    assert judged(THEIRS, trained, WELL, same=None, content="other") == "long run"


def test_every_damage_changes_the_file(tmp_path: Path) -> None:
    form = "json"
    path, other = tmp_path / "a.json", tmp_path / "b" / "a.json"
    other.parent.mkdir()
    for kind in kinds_of(form, has_other=True):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            path.rmdir()
        content = '{"name": "a", "list": [1, 2.5], "inner": {"b": true}}'
        path.write_text(content)
        other.write_text(content.replace("2.5", "3.5"))
        damage(kind, path, form, other, random.Random(0))
        assert path.is_symlink() or not path.is_file() or path.read_text(errors="replace") != content, kind


def test_a_damage_that_a_file_cannot_take_is_no_case(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"name": "a"}')
    with pytest.raises(NotApplicable):
        damage("NaN", path, "json", None, random.Random(0))


def _end_by_signal() -> int:
    os.kill(os.getpid(), signal.SIGXCPU)
    return 0


def _wait_for_ever() -> int:
    signal.pause()
    return 0


def _allocate() -> int:
    return len(bytearray(2**30))


def _connect() -> int:
    with socket.socket() as opened:
        opened.settimeout(0.01)
        opened.connect_ex(("192.0.2.1", 9))
    return 0


@pytest.mark.parametrize(
    ("action", "word"),
    [
        (lambda: 0, "harmless"),
        (_end_by_signal, "crash"),
        (_wait_for_ever, "hang"),
        (_allocate, "traceback"),
        (_connect, "reached out"),
        (lambda: os.system("true"), "reached out"),
    ],
)
def test_a_child_is_stopped_and_its_end_is_told(action: Callable[[], int], word: str, tmp_path: Path) -> None:
    end = fork(action, tmp_path, memory=2**28, watch=watch_outside).wait(1.0)
    assert judged(OURS, end, WELL, same=True, content="same") == word


def test_changes_of_files_are_counted_before_they_happen(tmp_path: Path) -> None:
    def act(event: str, path: str) -> None:
        os.write(1, f"{event} {Path(path).name} {Path(path).exists()}\n".encode())

    def work() -> int:
        Path("a.tmp").write_text("a")
        Path("a.tmp").rename("a")
        Path("a").read_text()
        return 0

    end = fork(work, tmp_path, watch=watch_writes(tmp_path, act)).wait(10)
    assert end.out.splitlines() == ["open a.tmp False", "os.rename a False"]
