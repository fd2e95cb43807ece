"""Files that are read as a whole."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from preceptor.errors import UsageError
from preceptor.reading import check_regular, is_regular, read_text


def test_a_file_is_read_and_a_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("é")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert [read_text(tmp_path / name, most=2) for name in "ab"] == ["é", "é"]
    assert check_regular(tmp_path / "b") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
def test_what_never_ends_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        for name in ("fifo", "socket", os.devnull):
            assert not is_regular(tmp_path / name)
            with pytest.raises(
                UsageError, match=f"^x: .*{Path(name).name}: is a pipe, a socket or a device, not a file$"
            ):
                read_text(tmp_path / name, "x: ", most=9)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "none: no such file"),
        ("", "is a folder, not a file"),
        ("a/b", "a/b: no such file"),
        ("a", "a: has 3 bytes, and at most 2 are read"),
        ("latin", "latin: cannot be read"),
        ("zero\0", "cannot be read"),
    ],
)
def test_anything_else_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "a").write_text("abc")
    (tmp_path / "latin").write_bytes(b"\xe9")
    assert is_regular(tmp_path / name) == (name in {"a", "latin"})
    with pytest.raises(UsageError, match=message):
        read_text(tmp_path / name, most=2)
