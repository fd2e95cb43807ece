"""Arguments of the verbs as sections of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from preceptor.api.objects import (
    data_section,
    is_section,
    loaded,
    module_beside,
    passed_teachers,
    read_teacher,
    section_of,
    teacher_section,
)
from preceptor.assessment import Metrics
from preceptor.data import from_objects
from preceptor.errors import UsageError
from preceptor.models import FunctionTeacher
from preceptor.objectives.teacher import Brier
from preceptor.runner.result import Result
from records import made_record

PAIR = (torch.randn(20, 3), torch.arange(20) % 2)


def a_result(path: Path) -> Result:
    metrics = Metrics(samples=1, accuracy=1.0, top5=None, nll=0.0, brier=0.0, ece=0.0, truth=None)
    return Result(metrics, nn.Identity(), path, made_record())


def test_names_sections_and_objects_become_sections() -> None:
    assert section_of("method", "kd") == {"name": "kd"}
    assert section_of("method", {"name": "kd", "temperature": 2}) == {"name": "kd", "temperature": 2}
    assert section_of("objective", Brier()) == {"name": "python:preceptor.objectives.teacher.brier.Brier"}
    assert section_of("data", {"train": PAIR}) == {"name": "python:builtins.dict"}
    with pytest.raises(UsageError, match=r"^objective: Brier is a class, expected an object of it: Brier\(\.\.\.\)$"):
        section_of("objective", Brier)


def test_a_mapping_of_splits_is_no_section() -> None:
    assert is_section({"name": "digits"})
    assert is_section({"root": "/x"})
    assert not is_section({"train": PAIR, "test": PAIR})
    assert not is_section(PAIR)


@pytest.mark.parametrize(
    ("teacher", "section"),
    [
        (None, {}),
        (Path("runs/t"), {"path": "runs/t"}),
        ({"path": ["a", Path("b")], "epoch": 3}, {"path": ["a", "b"], "epoch": 3}),
        ({"path": Path("a"), "model": "mlp"}, {"path": "a", "model": "mlp"}),
        ({"path": "a", "model": nn.Identity()}, {"path": "a", "model": "python:torch.nn.modules.linear.Identity"}),
        (nn.Identity(), {"path": "python:torch.nn.modules.linear.Identity"}),
    ],
)
def test_a_teacher_in_every_form(teacher: Any, section: dict[str, Any]) -> None:
    assert teacher_section(teacher) == section


def test_a_result_stands_for_its_run(tmp_path: Path) -> None:
    assert teacher_section(a_result(tmp_path)) == {"path": str(tmp_path)}
    assert teacher_section({"path": a_result(tmp_path), "epoch": 1}) == {"path": str(tmp_path), "epoch": 1}


def test_wrong_keys_of_a_teacher_are_named_with_their_place() -> None:
    assert read_teacher("runs/t", "assess").path == "runs/t"
    with pytest.raises(UsageError, match=r"^assess\.modle: unknown key; did you mean model\?$"):
        read_teacher({"path": "a", "modle": "b"}, "assess")
    with pytest.raises(UsageError, match=r"^teacher\.epoch: input should be greater than or equal to 1, got 0$"):
        read_teacher({"path": "a", "epoch": 0}, "teacher")


def test_only_a_module_stands_beside_a_path() -> None:
    network = nn.Identity()
    assert module_beside({"path": "a", "model": network}) is network
    assert module_beside({"path": "a", "model": "mlp"}) is None
    assert module_beside(network) is None


def test_data_are_loaded_or_taken_as_they_are() -> None:
    data = from_objects(PAIR)
    assert loaded(data) is data
    assert loaded(PAIR).fingerprint == data.fingerprint
    assert loaded({"name": "digits", "limit": 30, "test_limit": 10}).name == "digits"
    assert data_section({"name": "digits", "limit": 30}).limit == 30
    with pytest.raises(UsageError, match=r"^data: python:builtins\.tuple was passed as a Python object; pass it again"):
        data_section(PAIR)


def test_estimators_and_functions_are_teachers() -> None:
    def ask(inputs: Any) -> Any:
        return inputs

    assert teacher_section(ask)["path"].endswith("<locals>.ask")
    assert isinstance(passed_teachers(ask), FunctionTeacher)
    several = passed_teachers([ask, nn.Linear(2, 2)])
    assert isinstance(several, tuple)
    assert [type(each) for each in several] == [FunctionTeacher, nn.Linear]
    assert passed_teachers(["runs/a", "runs/b"]) is None
    with pytest.raises(UsageError, match="teacher: runs/a stands beside networks in a list"):
        passed_teachers([ask, "runs/a"])
