from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from preceptor.errors import RunError, UsageError
from preceptor.files import lock_file, lock_folder, write_atomically, write_text


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
        write_atomically(path, lambda other: other.write(b"y" * 50), is_shared=True)  # while this one is half done
        assert path.read_bytes() == b"y" * 50
        handle.write(b"x" * 100)

    write_atomically(path, outer, is_shared=True)
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
