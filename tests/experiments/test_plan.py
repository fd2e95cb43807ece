"""From a file to its cells."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from grids import FIXED, small_grid
from preceptor.errors import UsageError
from preceptor.experiments.cells import Cell
from preceptor.experiments.grid_file import parse_grid
from preceptor.experiments.plan import make_cells

PAIRS = [{"teacher.model": "convnet_m", "model": "mlp"}, {"teacher.model": "convnet_m", "model": "convnet_s"}]
STOPS = {"objective": ["cross_entropy", "brier"], "stop_at": ["last", "best_val_nll"]}


def made(folder: Path, **more: Any) -> tuple[Cell, ...]:
    """Return the cells of a small grid."""
    return make_cells(parse_grid(yaml.safe_dump(small_grid(folder, **more), sort_keys=False), "g.yaml"))[0]


def test_teachers_are_made_once_and_come_first(tmp_path: Path) -> None:
    cells = made(tmp_path, seed=[0, 1], pair=PAIRS, teach=STOPS, distill={"method": ["kd", "dkd"]})
    assert Counter(cell.verb for cell in cells) == {"teach": 2 * 2, "distill": 2 * 2 * 2 * 2 * 2}
    place = {cell.id: number for number, cell in enumerate(cells)}
    assert all(place[need] < place[cell.id] for cell in cells for need in cell.needs)
    teacher = cells[0]
    assert (teacher.kept, teacher.command()[-3]) == ((2,), "keep_every=2")
    assert teacher.choices == {"model": "convnet_m", "objective": "cross_entropy", "stop_at": "best_val_nll"}
    taught = {
        (cell.choices["stop_at"], cell.teacher and cell.teacher.epoch) for cell in cells if cell.verb == "distill"
    }
    assert taught == {("last", 2), ("best_val_nll", None)}


def test_a_cell_is_the_same_in_two_files_and_written_in_two_ways(tmp_path: Path) -> None:
    first = made(tmp_path, teach=STOPS)
    second = made(
        tmp_path,
        fixed={**FIXED, "device": "cpu", "workers": 1},
        teach={"objective": {"name": "cross_entropy", "cross_entropy.weight": 1.0}},
        distill={"method": {"name": "kd", "temperature": 4}},
        out="elsewhere",
    )
    students = {cell.id for cell in first if cell.verb == "distill"}
    assert second[1].id in students  # though its teacher is the last epoch of another run there


def test_stored_outputs_are_made_once_for_the_students_that_can_use_them(tmp_path: Path) -> None:
    file = small_grid(
        tmp_path,
        pair=PAIRS,
        label={"views": 2, "dtype": "int8"},
        distill={"method": ["kd", "dist", "crd"], "inputs": ["real", "mixup"]},
    )
    cells, notes = make_cells(parse_grid(yaml.safe_dump(file, sort_keys=False), "g.yaml"))
    (labels,) = [cell for cell in cells if cell.verb == "label"]
    assert labels.words == ("data=digits", "data.limit=100", "data.test_limit=50", "views=2", "dtype=int8", "seed=0")
    users = [(cell.choices["method"], cell.choices["inputs"]) for cell in cells if cell.labels == labels.id]
    assert Counter(users) == {("kd", "real"): 2, ("dist", "real"): 2}
    assert notes == ("label: 8 students learn from the live teacher (inputs mixup, method crd)",)


def test_a_list_under_label_makes_other_students(tmp_path: Path) -> None:
    cells = made(tmp_path, label={"views": [1, 2]})
    assert [cell.choices.get("views") for cell in cells] == [None, 1, 1, 2, 2]
    assert len({cell.id for cell in cells}) == 5


def test_combinations_are_excluded_with_teachers_that_nobody_needs(tmp_path: Path) -> None:
    exclude = [{"objective": "brier", "stop_at": "best_val_nll"}, {"method": "crd"}]
    cells = made(tmp_path, teach=STOPS, distill={"method": ["kd", {"name": "crd", "kd.weight": 1}]}, exclude=exclude)
    students = [
        (cell.choices["objective"], cell.choices["stop_at"], cell.choices["method"]) for cell in cells if cell.teacher
    ]
    assert students == [
        ("cross_entropy", "last", "kd"),
        ("cross_entropy", "best_val_nll", "kd"),
        ("brier", "last", "kd"),
    ]
    assert [cell.choices["stop_at"] for cell in cells if not cell.teacher] == ["best_val_nll", "last"]


def test_a_teacher_is_called_what_all_who_share_it_call_it(tmp_path: Path) -> None:
    sizes = [{"as": "short", "distill.epochs": 1}, {"as": "long", "distill.epochs": 2}]
    cells = made(tmp_path, size=sizes)
    assert [cell.choices.get("size") for cell in cells] == [None, "short", "long"]
    both = made(tmp_path, size=[{"as": "short", "epochs": 1}, {"as": "long", "epochs": 3}])
    assert [cell.choices["size"] for cell in both] == ["short", "short", "long", "long"]


def test_teachers_alone_are_a_grid(tmp_path: Path) -> None:
    file = {"fixed": FIXED, "teach": {"model": "mlp", **STOPS}, "out": str(tmp_path / "g")}
    cells, _ = make_cells(parse_grid(yaml.safe_dump(file), "g.yaml"))
    assert [cell.choices for cell in cells] == [
        {"model": "mlp", "objective": "cross_entropy", "stop_at": "best_val_nll"},
        {"model": "mlp", "objective": "brier", "stop_at": "best_val_nll"},
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"exclude": [{"method": "dkd"}]}, "exclude[0]: matches no cell"),
        ({"exclude": [{"methd": "kd"}]}, "exclude[0].methd: no such choice; did you mean method?"),
        ({"exclude": [{"method": "kd"}]}, "exclude: leaves no cell"),
        ({"compare": {"baseline": {"objective": "brier"}}}, "compare.baseline: matches no cell"),
        (
            {"published": [{"where": {"method": "at"}, "accuracy": 1, "source": "x"}]},
            "published[0].where: matches no cell",
        ),
        (
            {"distill": {"method": ["kd", {"name": "kd", "temperature": 4}]}},
            "distill.method[1]: makes the same cells as distill.method[0]",
        ),
        ({"teach": {"stop_at": ["last", 3]}}, "teach.stop_at[1]: stop_at: epoch 3 is not in 1..2"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        made(tmp_path, **more)
    assert str(error.value).partition(": ")[2].startswith(message)


def test_cells_keep_their_names(tmp_path: Path) -> None:
    """They name folders on users' disks: where this fails, something that is at its default has renamed them."""
    cells = made(tmp_path, label={"views": 2}, distill={"method": ["kd", "at"]})
    assert [cell.id for cell in cells] == [
        "teach-3a554b889861",
        "label-ed12a9eda5df",
        "distill-ecdee72e800e",
        "distill-d35c322e92fa",
    ]
