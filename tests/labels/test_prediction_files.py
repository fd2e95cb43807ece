"""Files of predictions: what they hold, and each way in which they can be wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from preceptor.checksums import sha256_of
from preceptor.errors import UsageError
from preceptor.extras import import_extra
from preceptor.labels import from_array, read_predictions

VALUES = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]], dtype=np.float32)


def test_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", VALUES)
    found = read_predictions(tmp_path / "p.npy")
    assert (found.columns, found.ids, found.kind) == ((), None, None)
    assert (found.values == VALUES).all()
    assert found.sha256 == sha256_of((tmp_path / "p.npy").read_bytes())
    assert found.row(2) == "row 2"


@pytest.mark.parametrize("name", ["logits", "probabilities"])
def test_a_named_array_says_what_it_is(name: str, tmp_path: Path) -> None:
    arrays: Any = {name: VALUES, "sample": np.array([4, 2, 7]), "more": np.zeros(1)}
    np.savez(tmp_path / "p.npz", **arrays)
    found = read_predictions(tmp_path / "p.npz", "sample")
    assert (found.kind, found.ids, found.row(1)) == (name, ("4", "2", "7"), "row 1 (id 2)")
    assert (found.values == VALUES).all()


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_a_table_has_a_column_per_class(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"p.{kind}"
    if kind == "parquet":
        pyarrow = import_extra("pyarrow", "tables", needed_by="tests")
        parquet = import_extra("pyarrow.parquet", "tables", needed_by="tests")
        columns = {"file": ["x", "y", "z"], "cat": VALUES[:, 0], "dog": VALUES[:, 1]}
        parquet.write_table(pyarrow.table(columns), path)
    else:
        separator = "," if kind == "csv" else "\t"
        lines = ["file,cat,dog", "x,0.25,0.75", "y,0.5,0.5", "z,1,0"]
        path.write_text("\n".join(line.replace(",", separator) for line in lines) + "\n")
    found = read_predictions(path, "file")
    assert (found.columns, found.ids, found.row(0)) == (("cat", "dog"), ("x", "y", "z"), "row 1 (id x)")
    assert (found.values == VALUES).all()


def test_arrays_and_tensors_from_python() -> None:
    for values in (VALUES, torch.from_numpy(VALUES), torch.from_numpy(VALUES).half(), VALUES.tolist()):
        assert (from_array(values).values == VALUES).all()
    assert from_array(VALUES).sha256 == sha256_of(VALUES.tobytes())
    with pytest.raises(
        UsageError, match=r"^predictions: the array holds int64 \(3,\), expected floating-point numbers"
    ):
        from_array([1, 2, 3])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", b"", "is no .npy, .npz, .csv, .tsv or .parquet file"),
        ("p.npy", b"no array", "cannot be read"),
        ("p.npz", b"no archive", "cannot be read"),
        ("p.csv", b"cat,dog\n0.5,0.5\n0.1,\n", "'' in row 2 of column dog is no finite number"),
        ("p.csv", b"cat,dog\n0.5,nan\n", "'nan' in row 1 of column dog is no finite number"),
        (
            "p.csv",
            b"name,cat\nx,1\n",
            "'x' in row 1 of column name is no finite number; predictions.id=name if it names",
        ),
        ("p.parquet", b"no table", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_predictions(tmp_path / name)
    assert str(caught.value).startswith(f"predictions: {tmp_path / name}")
    assert "\n" not in str(caught.value)


def test_arrays_of_other_kinds(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.zeros((3, 2), int))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    np.savez(tmp_path / "two.npz", a=VALUES, b=VALUES)
    np.savez(tmp_path / "ids.npz", logits=VALUES, short=np.arange(2), real=np.zeros(3))
    for name, column, message in (
        ("whole.npy", None, r"holds int64 \(3, 2\), expected floating-point numbers"),
        ("whole.npy", "id", "predictions.id: id is a column, and .* is one array"),
        ("objects.npy", None, "cannot be read"),
        ("two.npz", None, "holds a, b; one array called logits or probabilities is read"),
        ("ids.npz", "shrt", "has no array 'shrt'; did you mean short?"),
        ("ids.npz", "short", "has 2 ids and 3 rows"),
        ("ids.npz", "real", "real of .* holds float64"),
        ("missing.npy", None, "no such file"),
    ):
        with pytest.raises(UsageError, match=message):
            read_predictions(tmp_path / name, column)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"needs pyarrow, which is not installed: pip install preceptor\[tables\]$"):
        read_predictions(tmp_path / "p.parquet")


def test_a_table_without_its_id(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,cat\n3,0.5\n,0.2\n")
    with pytest.raises(UsageError, match="row 2 has no id in column id"):
        read_predictions(tmp_path / "p.csv", "id")
    with pytest.raises(UsageError, match="has no column 'idd'; did you mean id"):
        read_predictions(tmp_path / "p.csv", "idd")
    (tmp_path / "only.csv").write_text("id\n3\n")
    with pytest.raises(UsageError, match="has no column beside id"):
        read_predictions(tmp_path / "only.csv", "id")
