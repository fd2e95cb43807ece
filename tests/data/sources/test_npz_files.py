"""Arrays in .npz files: no header decides how much memory is taken."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from preceptor.data.sources.npz_files import read_npz
from preceptor.errors import UsageError


def header_of(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": kind, "fortran_order": False, "shape": shape})
    return content.getvalue()


def test_arrays_are_read_whatever_wrote_them(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", x=x, y=np.asfortranarray(x.astype(np.float64)), n=np.float32(2))
        read = read_npz(tmp_path / "a.npz", "data.path")
        assert sorted(read) == ["n", "x", "y"]
        assert np.array_equal(read["x"], x)
        assert np.array_equal(read["y"], x)
        assert read["n"] == 2


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6, 10**6), (3,)])
def test_a_header_that_states_more_than_there_is(shape: tuple[int, ...], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header_of(shape) + b"\0" * 16 if shape != (3,) else header_of(shape))
    with pytest.raises(UsageError, match=r"^data\.path: .*a\.npz: cannot be read \(an array of shape"):
        read_npz(tmp_path / "a.npz", "data.path")


def test_zeros_that_unpack_to_far_more_than_the_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(2**24, np.uint8))
    monkeypatch.setattr("preceptor.data.sources.npz_files._FREE", 2**20)
    with pytest.raises(UsageError, match=r"bytes would become 16,777,\d\d\d\)"):
        read_npz(tmp_path / "a.npz", "data.path")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"x" * 99])
def test_other_files_are_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read") as caught:
        read_npz(tmp_path / "a.npz", "data.path")
    assert "\n" not in str(caught.value)


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object))
    with pytest.raises(UsageError, match=r"cannot be read \(.*allow_pickle"):
        read_npz(tmp_path / "a.npz", "data.path")
