from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.data.sources.columns import parse_missing, read_columns
from preceptor.errors import UsageError


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_cells_are_separated_and_stripped(tmp_path: Path, suffix: str, separator: str) -> None:
    file = tmp_path / f"t.{suffix}"
    file.write_text("\n".join(separator.join(row) for row in (["a ", "b"], [" 1", "x"], ["2", " y "])))
    assert read_columns(str(file), "data.path") == {"a": ["1", "2"], "b": ["x", "y"]}


def test_quotation_marks_are_removed_unless_they_are_characters(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a\n"x"\n')
    assert read_columns(str(tmp_path / "t.csv"), "data.path") == {"a": ["x"]}
    assert read_columns(str(tmp_path / "t.csv"), "data.path", quoted=False) == {"a": ['"x"']}


def test_missing_values_are_none() -> None:
    assert parse_missing({"a": ["", "NA", "nan", "?", None, "none", "0", "n"]}) == {"a": [None] * 6 + ["0", "n"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n", "has no rows"),
        ("a,a\n1,2\n", "has two columns named 'a'"),
        ("a,b\n1\n", "line 2 has 1 values, the header 2 names"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(UsageError, match=rf"^data\.path: .*t\.csv: {message}"):
        read_columns(str(tmp_path / "t.csv"), "data.path")
