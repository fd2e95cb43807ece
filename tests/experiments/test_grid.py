"""A grid's cells chosen, and grid.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from grids import small_grid
from preceptor.errors import RunError, UsageError
from preceptor.experiments.grid import Grid, open_grid


def opened(folder: Path, changes: dict[str, Any] | None = None) -> Grid:
    """Return a grid of four students."""
    more = {
        "teach": {"objective": ["cross_entropy", "brier"]},
        "distill": {"method": ["kd", {"name": "dist", "temperature": 2}]},
        "compare": {"baseline": {"objective": "cross_entropy"}},
        "published": [{"where": {"method": "kd"}, "accuracy": 70.5, "source": "a paper"}],
    }
    path = folder / "g.yaml"
    path.write_text(yaml.safe_dump(small_grid(folder, **more), sort_keys=False))
    return open_grid(path, changes)


def test_cells_are_chosen_with_those_that_they_need(tmp_path: Path) -> None:
    made = opened(tmp_path)
    assert made.select({}) == made.cells
    chosen = made.select({"method": "dist", "objective": "brier"})
    assert [cell.verb for cell in chosen] == ["teach", "distill"]
    assert {cell.choices["objective"] for cell in chosen} == {"brier"}
    assert [cell.verb for cell in made.select({"objective": "brier"})] == ["teach", "distill", "distill"]
    both = [cell.choices["method"] for cell in made.cells if cell.verb == "distill"]
    several = made.select({"method": sorted(set(both)), "objective": ["brier"]})
    assert [cell.choices.get("method") for cell in several] == [None, *sorted(set(both), key=both.index)]


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ({"methd": "kd"}, "--only.methd: no such choice; did you mean method?"),
        ({"method": "crd"}, "--only method=crd: matches no cell"),
        ({"method": ["dist", "crd"]}, "--only method=crd: matches no cell"),
    ],
)
def test_a_choice_that_is_not_there_is_told(tmp_path: Path, only: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        opened(tmp_path).select(only)
    assert str(error.value) == message


def test_grid_json_says_what_each_cell_is(tmp_path: Path) -> None:
    made = opened(tmp_path)
    path = made.write()
    assert path == tmp_path / "grid" / "grid.json"
    values = json.loads(path.read_text())
    assert {key: values[key] for key in ("format", "name", "compare", "published")} == {
        "format": 1,
        "name": "g",
        "compare": {"baseline": {"objective": "cross_entropy"}, "over": "seed"},
        "published": [{"where": {"method": "kd"}, "accuracy": 70.5, "std": None, "n": None, "source": "a paper"}],
    }
    assert values["file"] == (tmp_path / "g.yaml").read_text()
    teacher, student = values["cells"][:2]
    assert student["needs"] == [teacher["id"]]
    assert student["teacher"] == {"cell": teacher["id"], "epoch": None}
    assert (student["verb"], student["seed"], student["choices"]["method"]) == ("distill", 0, "kd")
    assert student["command"][:2] == ["preceptor", "distill"]
    assert (path.parent / student["run"]).resolve() == (tmp_path / "cells" / student["id"]).resolve()


def test_cells_of_other_seeds_stay_until_the_file_changes(tmp_path: Path) -> None:
    def seeds(changes: dict[str, Any] | None = None) -> list[int]:
        values = json.loads(opened(tmp_path, changes).write().read_text())
        return sorted({cell["seed"] for cell in values["cells"]})

    assert seeds() == [0]
    assert seeds({"seed": [3, 4]}) == [0, 3, 4]
    assert seeds() == [0, 3, 4]
    assert seeds({"epochs": 1}) == [0]
    (tmp_path / "grid" / "grid.json").write_text("{")
    with pytest.raises(RunError, match=r"grid.json: cannot be read .* delete it, and it is written anew"):
        seeds()


def test_a_grid_is_frozen_and_made_of_a_mapping_too(tmp_path: Path) -> None:
    made = open_grid(small_grid(tmp_path))
    assert [cell.verb for cell in made.cells] == ["teach", "distill"]
    assert made.stands() == dict.fromkeys((cell.id for cell in made.cells), "waiting")
    with pytest.raises(AttributeError):
        made.name = "other"  # type: ignore[misc]
