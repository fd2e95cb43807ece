"""Objects of the user's own code by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.errors import UsageError
from preceptor.own_code import find_object

MODULE = """
class Outer:
    class Inner:
        pass

def make():
    return 3

NUMBER = 4
_hidden = make
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("found_by_name.py").write_text(MODULE)
    Path("broken_by_name.py").write_text("def (:\n")
    Path("failing_by_name.py").write_text("unknown\n")


def test_what_a_place_names() -> None:
    assert find_object("found_by_name:make", "model")() == 3
    assert find_object("found_by_name:Outer.Inner", "model").__name__ == "Inner"
    assert find_object("found_by_name:NUMBER", "model") == 4


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("found_by_nam:make", "model: found_by_nam:make: cannot import found_by_nam: No module named 'found_by_nam'"),
        ("broken_by_name:make", "model: broken_by_name:make: cannot import broken_by_name: invalid syntax"),
        (
            "failing_by_name:make",
            "model: failing_by_name:make: cannot import failing_by_name: name 'unknown' is not defined",
        ),
        ("found_by_name:NUMBER.x", "model: found_by_name has no 'NUMBER.x'; there are none"),
        ("found_by_name:mak", "model: found_by_name has no 'mak'; did you mean make?"),
        ("found_by_name:Outer.Iner", "model: found_by_name has no 'Outer.Iner'; did you mean Inner?"),
        ("found_by_name:zzz", "model: found_by_name has no 'zzz'; there are: Outer, make"),
        ("found_by_name:", "model: found_by_name has no ''; there are: Outer, make"),
    ],
)
def test_a_place_that_names_nothing(place: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        find_object(place, "model")
    assert str(error.value).startswith(message)


def test_what_is_suggested_is_what_is_wanted() -> None:
    with pytest.raises(UsageError, match="there are: NUMBER"):
        find_object("found_by_name:zzz", "model", is_wanted=lambda value: value == 4)
