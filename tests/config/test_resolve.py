"""A recipe resolved: every choice made, before anything is built."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from preceptor.config.overrides import make_recipe
from preceptor.config.resolve import ResolvedRecipe, make_policy, resolve
from preceptor.config.sections import DistillRecipe, InputsSection, TeachRecipe
from preceptor.data import Data, PlainInputs, from_objects, load
from preceptor.data.augment.mixtures import Mixup
from preceptor.errors import UsageError
from preceptor.objectives.distill import KD
from preceptor.objectives.weighted import Sum


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", limit=50, test_limit=20)


def student(data: Data, *words: str, **arguments: Any) -> ResolvedRecipe:
    overrides = ["data=digits", "model=mlp", "teacher=runs/t", *words]
    return resolve(make_recipe(DistillRecipe, overrides=overrides), data, **arguments)


def test_nothing_is_left_open(digits: Data) -> None:
    resolved = student(digits)
    assert (resolved.epochs, resolved.plan.epochs, resolved.batch_size, resolved.view) == (40, 40, 64, digits.view)
    assert isinstance(resolved.policy, PlainInputs)
    assert dict(resolved.stated.terms.hyperparameters)["kd"] == {
        "name": "kd",
        "weight": 0.9,
        "temperature": 4.0,
        "divergence": "kl",
        "alpha": 0.8,
        "beta": 0.3,
        "row_weights": "equal",
    }
    assert [name for name, _ in resolved.objective.named_terms()] == ["cross_entropy", "kd"]
    assert resolved.notes == ()


def test_a_resolved_recipe_resolves_to_itself(digits: Data) -> None:
    stated = student(digits, "method=dkd", "inputs=mixup").stated
    values = {"kind": "distill", **stated.as_dict()}
    assert resolve(make_recipe(DistillRecipe, values), digits).stated == stated


def test_an_objective_and_a_view_replace_those_of_the_recipe(digits: Data) -> None:
    resolved = student(digits, objective=KD(2.0), view="flip")
    assert [(name, type(term)) for name, term in resolved.objective.named_terms()] == [("objective", KD)]
    assert (resolved.view, resolved.stated.data.view) == ("flip", "flip")
    total = Sum(kd=(1.0, KD(2.0)))
    assert student(digits, objective=total).objective is total


def test_terms_without_use_are_noted(digits: Data) -> None:
    (line,) = student(digits, "inputs=mixup").notes
    assert line.startswith("inputs: cross_entropy cannot be applied to inputs beyond the samples")
    (line,) = student(digits, "method=brier").notes
    assert line.startswith("warning: no term looks at the teacher (brier)")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["method=brier", "inputs=mixup"], r"none of the terms brier can be applied .*; add one, e\.g\. method\.kd"),
        (["inputs=mixupp"], r"^inputs: unknown name 'mixupp'; did you mean mixup"),
        (["inputs=mixup", "inputs.alfa=1"], r"^inputs\.alfa: unknown key; did you mean alpha\?"),
        (["inputs=mixup", "inputs.alpha=-1"], r"^inputs\.alpha: -1"),
    ],
)
def test_mistakes_between_a_method_and_its_inputs(digits: Data, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        student(digits, *words)


def test_a_teacher_has_no_teacher_to_shard(digits: Data) -> None:
    recipe = make_recipe(TeachRecipe, overrides=["data=digits", "model=mlp", "sharding=teacher"])
    with pytest.raises(UsageError, match=r"^sharding: teacher is the network that a student learns from"):
        resolve(recipe, digits)


def test_several_labels_need_an_output_each() -> None:
    data = from_objects((torch.randn(40, 3), torch.randint(0, 2, (40, 4))))
    recipe = make_recipe(TeachRecipe, overrides=["data=digits", "model=mlp", "model.logits=1"])
    with pytest.raises(UsageError, match=r"^model\.logits: 1 for 4 labels; one per label$"):
        resolve(recipe, data)


def test_a_policy_states_every_hyperparameter() -> None:
    section, policy = make_policy(InputsSection(name="mixup"))
    assert isinstance(policy, Mixup)
    assert "alpha" in section.hyperparameters
    assert make_policy(section)[0] == section
