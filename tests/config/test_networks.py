from __future__ import annotations

import pytest
from pydantic import ValidationError

from preceptor.config.networks import ModelSection, OnnxSection, TeacherSection
from preceptor.config.overrides import make_recipe
from preceptor.config.sections import DistillRecipe, LabelRecipe
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


def test_predictions_stand_alone_for_their_file() -> None:
    recipe = make_recipe(LabelRecipe, overrides=["data=digits", "out=l", "predictions=p.csv", "predictions.id=file"])
    assert (recipe.predictions.path, recipe.predictions.kind, recipe.predictions.id) == ("p.csv", None, "file")
    with pytest.raises(UsageError, match=r"predictions\.kind"):
        make_recipe(LabelRecipe, overrides=["data=digits", "out=l", "predictions=p.csv", "predictions.kind=odds"])


def test_the_inputs_of_an_onnx_file() -> None:
    section = TeacherSection.model_validate({"path": "a.onnx", "onnx": {"mean": [1, 2], "std": [3, 4], "scale": 255}})
    assert section.onnx == OnnxSection(mean=(1.0, 2.0), std=(3.0, 4.0), scale=255)
    for wrong in ({"std": [0.0]}, {"scale": 2}, {"output": "labels"}, {"colour": "bgr"}):
        with pytest.raises(ValidationError):
            OnnxSection.model_validate(wrong)
