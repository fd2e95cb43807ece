from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.artifacts.class_files import read_classes, read_confusion, write_classes, write_confusion
from preceptor.assessment import ClassScore
from preceptor.errors import UsageError

NAMES = ("red, large", 'a "b"')
SCORES = (ClassScore(4, 3, 1), ClassScore(0, 1, 0))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_classes(tmp_path / "classes.csv", NAMES, SCORES)
    write_confusion(tmp_path / "confusion.csv", NAMES, [(0, 1, 3), (0, 0, 1)])
    assert read_classes(tmp_path / "classes.csv") == [*zip(NAMES, SCORES, strict=True)]
    assert read_confusion(tmp_path / "confusion.csv") == [(NAMES[0], NAMES[1], 3), (NAMES[0], NAMES[0], 1)]
    assert (tmp_path / "classes.csv").read_text().splitlines() == [
        "class,samples,right,accuracy,predicted,precision",
        '"red, large",4,1,0.2500,3,0.3333',
        '"a ""b""",0,0,,1,0.0000',
    ]


@pytest.mark.parametrize(
    "content", ["", "a,b\n", "class,predicted,samples\na,b,three\n", "class,predicted,samples\na,b\n"]
)
def test_a_damaged_file_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "confusion.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"confusion\.csv: cannot be read"):
        read_confusion(path)
