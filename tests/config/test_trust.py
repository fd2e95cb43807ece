"""What must be named by the user: found wherever a recipe can hold it, and accepted once the words hold it too."""

from __future__ import annotations

from typing import Any

import pytest

from preceptor.config.overrides import make_recipe
from preceptor.config.sections import DistillRecipe, LabelRecipe, TeachRecipe
from preceptor.config.trust import check_named, is_own_class, loads_code, reaching_out, values_in
from preceptor.errors import UsageError

BASE: dict[str, Any] = {"data": "digits", "model": "mlp"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("os:system", True),
        ("a.b:c.d", True),
        ("timm:hf-hub:someone/net", True),
        ("timm:local-dir:/tmp/net", True),
        ("timm:resnet18.a1_in1k", False),
        ("torchvision:resnet18", False),
        ("hf:folder", False),  # its configuration is read, and no code that it names is run
        ("wrn_40_2", False),
        ("python:torch.nn.Sequential", False),
    ],
)
def test_which_names_load_code(name: str, expected: bool) -> None:
    assert loads_code(name) == expected


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (TeachRecipe, BASE, {}),
        (TeachRecipe, {**BASE, "model": {"name": "os:system", "command": "x"}}, {"model.name": "os:system"}),
        (TeachRecipe, {**BASE, "track": ["wandb"]}, {"track": "wandb"}),
        (TeachRecipe, {**BASE, "data": "wds:https://h/a.tar"}, {"data.name": "wds:https://h/a.tar"}),
        (
            TeachRecipe,
            {**BASE, "data": {"name": "wds", "path": "a", "test": ["s3://b"]}},
            {"data.test": "s3://b"},
        ),
        (TeachRecipe, {**BASE, "objective": "a.b:C"}, {"objective.name": "a.b:C"}),
        (TeachRecipe, {**BASE, "objective": {"brier": 1, "own": {"name": "timm:C"}}}, {"objective.own.name": "timm:C"}),
        (TeachRecipe, {**BASE, "objective": {"name": "dml", "peers": ["mlp", "a:b"]}}, {"objective.peers": "a:b"}),
        (TeachRecipe, {**BASE, "objective": {"sftn": {"student": "a:b"}}}, {"objective.sftn.student": "a:b"}),
        (DistillRecipe, {**BASE, "method": {"name": "a:C", "sharpness": 2}}, {"method.name": "a:C"}),
        (DistillRecipe, {**BASE, "method": {"name": "python:a.C"}}, {}),
        (DistillRecipe, {**BASE, "teacher": {"path": "t", "model": "a:b"}}, {"teacher.model": "a:b"}),
        (DistillRecipe, {**BASE, "teacher": {"path": "t", "model": {"name": "a:b"}}}, {"teacher.model.name": "a:b"}),
        (
            DistillRecipe,
            {**BASE, "teacher": {"path": "t", "assistants": ["mlp", "a:b"]}},
            {"teacher.assistants": "a:b"},
        ),
        (DistillRecipe, {**BASE, "unlabelled": "wds:ftp://h/a"}, {"unlabelled.name": "wds:ftp://h/a"}),
        (LabelRecipe, {"data": "digits", "out": "l", "teacher": {"model": "a:b"}}, {"teacher.model": "a:b"}),
    ],
)
def test_a_recipe_is_searched_everywhere(kind: Any, values: dict[str, Any], expected: dict[str, str]) -> None:
    assert dict(reaching_out(make_recipe(kind, values))) == expected


def test_which_names_are_classes_of_ones_own() -> None:
    names = ["a.b:C", "timm:C", "hf:C", "kd", "python:a.C", None, 3]
    assert [name for name in names if is_own_class(name)] == ["a.b:C", "timm:C", "hf:C"]


def test_a_value_is_accepted_where_a_word_holds_it() -> None:
    found = [("model.name", "a:b")]
    for words in (
        ["model=a:b"],
        ["model.name=a:b"],
        ["model={name: 'a:b', width: 3}"],
        ["teacher.assistants=[mlp, a:b]"],
    ):
        check_named(found, words, "config x.yaml")
    for words in ([], ["model=a:bc"], ["model=a"], ["out=runs/a:b"]):
        with pytest.raises(
            UsageError, match=r"^config x\.yaml: names a:b, which .*; if you trust it, add model\.name=a:b$"
        ):
            check_named(found, words, "config x.yaml")


def test_texts_are_found_however_deep() -> None:
    assert list(values_in({"a": ["x", {"b": ("y", 3, None)}], "c": "z"})) == ["x", "y", "z"]
