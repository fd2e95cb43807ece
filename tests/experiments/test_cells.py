"""What a cell runs."""

from __future__ import annotations

from pathlib import Path

from grids import cell
from preceptor.experiments.cells import Taught


def test_a_command_names_the_folders_of_what_it_needs() -> None:
    folder = Path("grids/cells")
    teacher = cell(folder, kept=(4, 6))
    assert teacher.command() == [
        "preceptor",
        "teach",
        "data=digits",
        "keep_every=2",
        "out=grids/cells/teach-0",
        "resume=true",
    ]
    assert teacher.command(overwrite=True)[-1] == "overwrite=true"
    student = cell(folder, 1, teacher="teach-0", labels="label-0")
    assert student.command()[3:] == [
        *("teacher=grids/cells/teach-0", "labels=grids/cells/label-0", "out=grids/cells/distill-1", "resume=true")
    ]
    assert student.needs == ("teach-0", "label-0")
    stored = cell(folder, verb="label", teacher="teach-0")
    assert stored.command()[-2:] == ["teacher=grids/cells/teach-0", "out=grids/cells/label-0"]


def test_a_kept_epoch_is_named() -> None:
    assert Taught("teach-0", 4).words(Path("c d")) == ("teacher=c d/teach-0", "teacher.epoch=4")
