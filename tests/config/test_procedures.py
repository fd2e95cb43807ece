"""Methods without a loss of their own: another method, and what each sets in it or elsewhere in the recipe."""

from __future__ import annotations

import pytest

from preceptor.config.overrides import make_recipe
from preceptor.config.procedures import PROCEDURES
from preceptor.config.resolve import make_policy
from preceptor.config.sections import DistillRecipe
from preceptor.errors import UsageError
from preceptor.objectives.distill import KD, METHODS, TTM

WORDS = ["data=digits", "model=mlp", "teacher=runs/t", "teacher.assistants=[convnet_s]"]


def test_none_shadows_a_method() -> None:
    assert set(PROCEDURES).isdisjoint(METHODS)
    assert {entry.kind for entry in PROCEDURES.values()} == {"procedure"}


@pytest.mark.parametrize("name", PROCEDURES)
def test_each_is_another_method_and_sets_keys_that_a_recipe_has(name: str) -> None:
    entry = PROCEDURES[name]
    assert entry.objective is (TTM if name == "wttm" else KD)
    assert entry.implies or entry.needs or entry.hyperparameters
    recipe = make_recipe(DistillRecipe, overrides=[*WORDS, f"method={name}"]).model_dump()
    for section, keys in entry.implies.items():
        assert {key: recipe[section][key] for key in keys} == keys
    make_policy(make_recipe(DistillRecipe, overrides=[*WORDS, f"method={name}"]).inputs)


def test_takd_needs_assistants() -> None:
    with pytest.raises(UsageError, match=r"^method takd needs teacher\.assistants=\[NAME, \.\.\.\], networks between"):
        make_recipe(DistillRecipe, overrides=[*WORDS[:3], "method=takd"])
