from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from preceptor.errors import RunError, UsageError
from preceptor.files import lock_file, lock_folder, make_folder, remove_temporaries, write_atomically, write_text


def test_a_file_is_replaced_completely(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(handle: BinaryIO) -> None:
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"No space left on device\); what was there before is kept"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_of_several_writers_at_once_one_wins_completely(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"

    def outer(handle: BinaryIO) -> None:
        handle.write(b"x" * 100)
        write_atomically(path, lambda other: other.write(b"y" * 50))  # while this one is half done
        assert path.read_bytes() == b"y" * 50
        handle.write(b"x" * 100)

    write_atomically(path, outer)
    assert path.read_bytes() == b"x" * 200
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_a_real_refusal_of_the_system_is_one_line(tmp_path: Path) -> None:
    """A file-size limit is the nearest thing to a full disk that a test can have: the system refuses the write."""
    script = (
        "import resource, sys, pathlib\n"
        "from preceptor.files import write_atomically\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "write_atomically(path, lambda h: h.write(b'x' * 100))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomically(path, lambda h: h.write(b'y' * 5000))\n"
    )
    path = tmp_path / "a.bin"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert "RunError" in done.stderr
    assert "File too large" in done.stderr
    assert path.read_bytes() == b"x" * 100
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


_HOLD = """
import sys, time
from pathlib import Path
from preceptor.files import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_kept_to_one_process_until_that_process_is_gone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match="run is in use by another process"), lock_folder(tmp_path / "run"):
        pass
    other.kill()
    other.wait()
    other.stdout.close()
    with lock_folder(tmp_path / "run"):
        pass
    with lock_folder(tmp_path / "run"):
        pass


def test_a_locked_file_is_locked_until_the_last_who_holds_it_is_gone(tmp_path: Path) -> None:
    first = lock_file(tmp_path / "lock")
    assert first is not None
    held = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(first.fileno(),))
    first.close()
    assert lock_file(tmp_path / "lock") is None
    held.communicate(b"\n")
    again = lock_file(tmp_path / "lock")
    assert again is not None
    again.close()


def test_a_planted_link_is_neither_followed_nor_a_temporary_file(tmp_path: Path) -> None:
    """The names of temporary files cannot be foreseen; a link at the file's own name is replaced, not written through."""
    victim = tmp_path / "victim"
    names: list[str] = []
    victim.write_text("precious")
    run = tmp_path / "run"
    run.mkdir()
    for name in (".config.yaml.tmp", ".tmp", "config.yaml"):
        (run / name).symlink_to(victim)

    def write(handle: BinaryIO) -> None:
        names.extend(path.name for path in run.iterdir() if not path.is_symlink())
        handle.write(b"ours")

    for _ in range(2):
        write_atomically(run / "config.yaml", write)
    assert victim.read_text() == "precious"
    assert (run / "config.yaml").read_text() == "ours"
    temporary = [name for name in names if name != "config.yaml"]
    assert len(set(temporary)) == 2
    assert all(re.fullmatch(r"\.preceptor-[0-9a-f]{32}\.tmp", name) for name in temporary)


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError, match="cannot be written"), lock_folder(tmp_path):
        pass
    assert not (tmp_path / "victim").exists()


def test_the_longest_name_that_the_system_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_text(path, "text")
    assert path.read_text() == "text"
    with pytest.raises(RunError, match=r"cannot be written \(File name too long\)"):
        write_text(tmp_path / ("x" * 256), "text")


def test_a_name_that_is_no_utf_8_is_escaped_in_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    write_text(tmp_path / name, f"of {name}")
    assert (tmp_path / name).read_text() == "of caf\\udce9"


def test_a_read_only_file_system_says_so_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a system refuses even to remove what is not there: that must not hide the first error."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("open", "unlink", "mkdir"):
        monkeypatch.setattr(os, name, refuse)
    with pytest.raises(RunError, match=r"a\.txt: cannot be written \(Read-only file system\)$"):
        write_text(tmp_path / "a.txt", "text")
    with pytest.raises(UsageError, match=r"cannot be written \(Read-only file system\)$"), lock_folder(tmp_path):
        pass
    with pytest.raises(RunError, match=r"cannot be made \(Read-only file system\)$"):
        make_folder(tmp_path / "new")


def test_only_temporary_files_of_ours_are_removed(tmp_path: Path) -> None:
    ours = tmp_path / f".preceptor-{'0' * 32}.tmp"
    others = [tmp_path / name for name in (".config.yaml.tmp", ".preceptor-x.tmp", "a.tmp")]
    for path in (ours, *others):
        path.touch()
    remove_temporaries(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)
