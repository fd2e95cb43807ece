"""The sections that name networks, and what stands in for a teacher."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from preceptor.config.overrides import make_recipe
from preceptor.config.sections import LabelRecipe, ModelSection, OnnxSection, TeacherSection
from preceptor.errors import UsageError


def test_open_sections_keep_other_keys_as_hyperparameters() -> None:
    section = ModelSection.model_validate({"name": "mlp", "widths": [16], "logits": 1})
    assert section.hyperparameters == {"widths": [16]}
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        TeacherSection.model_validate({"file": "t.pth"})


def test_one_assistant_needs_no_list() -> None:
    assert TeacherSection.model_validate({"assistants": "resnet14"}).assistants == ("resnet14",)
    assert TeacherSection.model_validate({"anchors": [2, 4]}).anchors == (2, 4)


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
