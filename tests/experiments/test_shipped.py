"""The grid files that come with the package."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from preceptor.errors import UsageError
from preceptor.experiments.grid import open_grid
from preceptor.experiments.shipped import find_grid, shipped_grids

CELLS = {  # for one seed of three
    "kd-plus-full": {"teach": 5, "distill": 7 * 3},
    "kd-plus-short": {"teach": 1, "distill": 3},
    "mse-teacher-full": {"teach": 6 * 2, "distill": 13 * 3 * 11},
    "mse-teacher-short": {"teach": 2, "distill": 2 * 2},
    "soteacher-full": {"teach": 2 * 4, "distill": 3 * 5},
    "soteacher-short": {"teach": 3, "distill": 4},
}


@pytest.mark.parametrize("name", CELLS)
def test_each_makes_its_cells(name: str) -> None:
    made = open_grid(name, {"data.root": "somewhere", "seed": 0})
    assert Counter(cell.verb for cell in made.cells) == CELLS[name]
    assert (made.name, made.out, made.folder) == (name, Path("grids") / name, Path("grids/cells"))
    assert all("data.root=somewhere" in cell.words for cell in made.cells)


def test_the_short_ones_share_the_plain_teacher() -> None:
    teachers = [
        {cell.id for cell in open_grid(name, {"data.root": "x"}).cells if cell.verb == "teach"}
        for name in ("soteacher-short", "mse-teacher-short")
    ]
    assert len(teachers[0] & teachers[1]) == 3


def test_every_shipped_file_is_listed_with_what_it_is() -> None:
    assert set(shipped_grids()) == set(CELLS)
    assert shipped_grids()["soteacher-short"].startswith("SoTeacher (Dong, Liu, Shang, ICLR 2024), small")


def test_a_path_comes_before_a_name_and_an_unknown_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("soteacher-short").write_text("distill: {}\n")
    assert find_grid("soteacher-short") == Path("soteacher-short")
    with pytest.raises(UsageError, match=r"soteacher-shirt: no such grid file; did you mean soteacher-short"):
        find_grid("soteacher-shirt")


def test_data_that_the_user_has_to_name_are_named_in_the_message() -> None:
    with pytest.raises(
        UsageError, match=r"soteacher-short.yaml:\d+: fixed.data: data.root: is needed and was not given"
    ):
        open_grid("soteacher-short")
