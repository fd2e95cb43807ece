from __future__ import annotations

import os
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preceptor.data.sources.pickles import read_pickle
from preceptor.errors import UsageError

DATA = np.arange(24, dtype=np.uint8).reshape(4, 6)


class Shell:
    """A pickle of this runs a command when it is loaded by pickle.load."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "meta")
    with pytest.raises(UsageError, match=r"^data .*meta: is a pipe, a socket or a device, not a file$"):
        read_pickle(tmp_path / "meta")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_command_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    marker, file = tmp_path / "ran", tmp_path / "file"
    file.write_bytes(pickle.dumps({"data": Shell(f"touch {marker}")}, protocol))
    with pytest.raises(UsageError, match=r"refused, the pickle asks for (posix|nt|os)\.system"):
        read_pickle(file)
    assert not marker.exists()
    pickle.loads(file.read_bytes())  # the file is a live one
    assert marker.exists()


@pytest.mark.parametrize(
    "source", [b"cbuiltins\neval\n(S'1'\ntR.", b"cnumpy\nload\n(S'x'\ntR.", b"c_codecs\ndecode\n(S'1'\ntR."]
)
def test_other_names_are_refused(tmp_path: Path, source: bytes) -> None:
    (tmp_path / "file").write_bytes(source)
    with pytest.raises(UsageError, match=r"asks for (builtins\.eval|numpy\.load|_codecs\.decode)"):
        read_pickle(tmp_path / "file")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_python_3_writes(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "file"
    record = {
        "data": DATA,
        "labels": [1, 2, 3, 4],
        b"title": b"\xe9 batch",
        "number": np.int64(7),
        "f": np.asfortranarray(DATA),
    }
    file.write_bytes(pickle.dumps(record, protocol))
    found = read_pickle(file)
    np.testing.assert_array_equal(found["data"], DATA)
    np.testing.assert_array_equal(found["f"], DATA)
    assert found["data"].dtype == np.uint8
    assert found["labels"] == [1, 2, 3, 4]
    assert found["title"] == b"\xe9 batch"
    assert found["number"] == 7


def python_2_string(value: bytes) -> bytes:
    return b"U" + struct.pack("<B", len(value)) + value


def test_what_python_2_writes(tmp_path: Path) -> None:
    """Protocol 2 by hand: strings as bytes, numpy by its old name, as in the distributed CIFAR files."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + python_2_string(b"b") + b"\x87R"
        b"(K\x01K\x04K\x06\x86cnumpy\ndtype\n" + python_2_string(b"u1") + b"K\x00K\x01\x87R"
        b"(K\x03" + python_2_string(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + python_2_string(DATA.tobytes()) + b"tb"
    )  # fmt: skip
    labels = b"(lp0\nI3\naI1\naI0\naI2\na"
    content = b"\x80\x02}(" + python_2_string(b"data") + array + python_2_string(b"labels") + labels + b"u."
    (tmp_path / "file").write_bytes(content)
    found = read_pickle(tmp_path / "file")
    np.testing.assert_array_equal(found["data"], DATA)
    assert found["labels"] == [3, 1, 0, 2]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="train: no such file"):
        read_pickle(tmp_path / "train")


def test_a_truncated_file_is_one_line(tmp_path: Path) -> None:
    content = pickle.dumps({"data": DATA, "labels": [1]}, 2)
    for length in range(len(content)):
        (tmp_path / "file").write_bytes(content[:length])
        with pytest.raises(UsageError, match=r"^data .*file: ") as caught:
            read_pickle(tmp_path / "file")
        assert "\n" not in str(caught.value)


def test_something_else_than_a_mapping_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(UsageError, match="holds an object of type list, expected a mapping"):
        read_pickle(tmp_path / "file")


def test_a_damaged_file_is_one_line_or_read(tmp_path: Path) -> None:
    """Flipped bytes: whatever they turn the file into, the answer is a mapping or a UsageError."""
    content = pickle.dumps({"data": DATA, "labels": [1, 2], b"title": b"bytes"}, 2)
    generator, refused = random.Random(0), list[str]()
    for _ in range(1500):
        damaged = bytearray(content)
        for _ in range(generator.randint(1, 3)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        (tmp_path / "file").write_bytes(damaged)
        try:
            found = read_pickle(tmp_path / "file")
        except UsageError as error:
            refused.append(str(error))
        else:
            assert isinstance(found, dict)
    assert len(refused) > 500
    assert not any("\n" in line for line in refused)


@pytest.mark.parametrize("code", [b"O", b"O8", b"V8", b"u1,u1"])
def test_array_types_that_hold_more_than_numbers_are_refused(tmp_path: Path, code: bytes) -> None:
    content = b"\x80\x02}(U\x01dcnumpy\ndtype\n" + python_2_string(code) + b"K\x00K\x01\x87Ru."
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UsageError, match=f"asks for an array of type {code.decode()}"):
        read_pickle(tmp_path / "file")


def test_a_shape_that_does_not_fit_the_bytes_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps({"data": DATA}, 2)
    assert content.count(b"K\x04K\x06\x86") == 1
    (tmp_path / "file").write_bytes(content.replace(b"K\x04K\x06\x86", b"K\x05K\x06\x86"))
    with pytest.raises(UsageError, match=r"an array of shape \(5, 6\) with 24 bytes"):
        read_pickle(tmp_path / "file")
