"""The recipes as data: what the sections accept, and what a recipe says of itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from preceptor.config.sections import (
    PROTOCOL_KEYS,
    DistillRecipe,
    LabelRecipe,
    StudentInputs,
    TeachRecipe,
)

NEEDED: dict[str, Any] = {"data": {"name": "digits"}, "model": {"name": "mlp"}}


def test_a_recipe_states_its_kind_terms_and_inputs() -> None:
    teach = TeachRecipe.model_validate(NEEDED)
    student = DistillRecipe.model_validate({**NEEDED, "teacher": {"path": "runs/t"}, "unlabelled_ratio": 2.0})
    assert (teach.kind, teach.has_teacher, teach.terms) == ("teach", False, teach.objective)
    assert (student.kind, student.has_teacher, student.terms) == ("distill", True, student.method)
    assert teach.student_inputs == StudentInputs()
    assert student.student_inputs == StudentInputs(student.teacher, unlabelled_ratio=2.0)
    assert (teach.terms.name, student.terms.name) == ("cross_entropy", "kd")


def test_as_dict_marks_what_the_protocol_decides() -> None:
    values = TeachRecipe.model_validate({**NEEDED, "optim": {"lr": 0.5}}).as_dict()
    assert (values["optim"]["lr"], values["optim"]["name"], values["optim"]["momentum"]) == (0.5, None, 0.9)
    assert all(values[section][key] is None for section, keys in PROTOCOL_KEYS.items() for key in keys if key != "lr")


@pytest.mark.parametrize(
    "keys", [{"epochs": 0}, {"seed": 2**31}, {"clip_norm": 0}, {"data": {"name": "digits", "validation": 1.0}}]
)
def test_bounds_are_checked(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TeachRecipe.model_validate({**NEEDED, **keys})


def test_labels_need_a_place() -> None:
    with pytest.raises(ValidationError, match="out"):
        LabelRecipe.model_validate({"data": {"name": "digits"}, "teacher": {"path": "t"}})
