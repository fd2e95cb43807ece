from __future__ import annotations

import pytest
from pydantic import ValidationError

from preceptor.config.networks import ModelSection, TeacherSection
from preceptor.config.overrides import make_recipe
from preceptor.config.sections import DistillRecipe
from preceptor.errors import UsageError

WORDS = ["data=digits", "model=mlp", "teacher=runs/t"]


def test_further_keys_of_a_model_are_its_constructors() -> None:
    assert ModelSection.model_validate({"name": "mlp", "widths": [4]}).hyperparameters == {"widths": [4]}
    with pytest.raises(ValidationError):
        TeacherSection.model_validate({"widths": [4]})


def test_a_teacher_is_as_it_was_trained_unless_the_recipe_says_otherwise() -> None:
    teacher = make_recipe(DistillRecipe, overrides=WORDS).teacher
    assert (teacher.posterior, teacher.samples, teacher.calibrate) == (None, None, None)
    words = [*WORDS, "teacher.posterior=swag", "teacher.samples=3", "teacher.calibrate=ece"]
    teacher = make_recipe(DistillRecipe, overrides=words).teacher
    assert (teacher.posterior, teacher.samples, teacher.calibrate) == ("swag", 3, "ece")


@pytest.mark.parametrize("word", ["teacher.posterior=vi", "teacher.calibrate=acc", "teacher.samples=0"])
def test_an_unknown_way_is_named(word: str) -> None:
    with pytest.raises(UsageError, match=word.partition("=")[0]):
        make_recipe(DistillRecipe, overrides=[*WORDS, word])
