from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.data.sources.columns import is_row_index, parse_classes, parse_missing, read_columns
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


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        ("a;b\n1,5;x\n-0,25;y\n3;z\n", ["1.5", "-0.25", "3"]),
        ("a;b\n1.234,5;x\n0,125;y\n;z\n", ["1234.5", "0.125", ""]),
        ("a;b\n1,250;x\n2,500;y\n", ["1.250", "2.500"]),
        ('a,b\n"1,5",x\n"2,25",y\n', ["1.5", "2.25"]),
        ('a,b\n"1,250",x\n"2,500",y\n', ["1,250", "2,500"]),  # 1.25 or 1250: not decided here
        ("a;b\n1,5;x\nred, blue;y\n", ["1,5", "red, blue"]),
    ],
)
def test_decimal_commas_are_points(tmp_path: Path, content: str, cells: list[str]) -> None:
    (tmp_path / "t.csv").write_text(content)
    assert read_columns(str(tmp_path / "t.csv"), "data.path")["a"] == cells


def test_none_is_a_class_among_words_and_missing_among_numbers() -> None:
    assert parse_classes(["None", "mild", "NA", "", "nan", None]) == ["None", "mild", "NA", None, None, None]
    assert parse_classes(["None", "1", "NA"]) == [None, "1", None]


@pytest.mark.parametrize(
    ("name", "cells", "expected"),
    [
        ("Unnamed: 0", ["0", "1", "2"], True),
        ("Unnamed: 0", ["7", "2", "9"], True),
        ("Unnamed: 0.1", ["7", "2", "9"], True),
        ("", ["1", "2", "3"], True),
        ("", ["Mazda", "Fiat", "Opel"], True),
        ("level_0", ["3", "1", "2"], True),
        ("__index_level_0__", ["1", "1", "1"], True),
        ("index", ["0", "1", "2"], True),
        ("id", ["1", "2", "3"], True),
        ("id", ["3", "1", "2"], False),
        ("age", ["0", "1", "2"], False),
        ("Unnamed: 3", ["0.5", "1.5", "2.5"], False),
        ("Unnamed: 3", ["0", "1", "0", "1"], False),
    ],
)
def test_row_numbers_are_told_by_name_and_cells(name: str, cells: list[str], expected: bool) -> None:
    assert is_row_index(name, cells) is expected
