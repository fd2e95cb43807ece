"""What the data's protocol fills in, and what the recipe keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from preceptor.config.protocols import GENTLE, PROTOCOLS, fill
from preceptor.config.sections import AnyRecipe, TeachRecipe
from preceptor.data import Data, load


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", limit=50, test_limit=20)


@pytest.fixture(scope="module")
def vectors() -> Data:
    return load("gaussian", options={"samples": 400, "num_classes": 2, "dim": 3})


def filled(data: Data, model: str = "mlp", view: str | None = None, **keys: Any) -> AnyRecipe:
    section = {"name": data.name, **({} if view is None else {"view": view})}
    return fill(TeachRecipe.model_validate({"data": section, "model": {"name": model}, **keys}), data)


def test_open_keys_come_from_the_protocol(digits: Data, vectors: Data) -> None:
    for data, name in ((digits, "digits"), (vectors, "vectors")):
        protocol, recipe = PROTOCOLS[name], filled(data)
        assert data.protocol == name
        assert (recipe.epochs, recipe.batch_size) == (protocol.epochs, protocol.batch_size)
        assert (recipe.optim.name, recipe.optim.lr) == (protocol.optimizer, protocol.lr)
        assert recipe.optim.weight_decay == protocol.weight_decay
        assert recipe.schedule.name == protocol.schedule
        assert (recipe.data.view, recipe.data.validation) == (data.view, data.validation_share)


def test_stated_keys_are_kept(digits: Data) -> None:
    recipe = filled(digits, epochs=3, optim={"lr": 0.7}, schedule={"name": "constant"}, view="none")
    assert (recipe.epochs, recipe.optim.lr, recipe.schedule.name, recipe.data.view) == (3, 0.7, "constant", "none")
    assert recipe.optim.name == "sgd"


def test_another_optimizer_has_a_rate_of_its_own(digits: Data, vectors: Data) -> None:
    assert filled(digits, optim={"name": "adamw"}).optim.lr == 1e-3
    assert filled(digits, optim={"name": "dot"}).optim.lr == PROTOCOLS["digits"].lr  # a kind of sgd
    assert filled(vectors, optim={"name": "sgd"}).optim.lr == 0.05


def test_light_networks_train_gently(digits: Data) -> None:
    cifar = replace(digits, protocol="cifar")
    assert {filled(cifar, model).optim.lr for model in GENTLE} == {0.01}
    assert filled(cifar, "resnet8").optim.lr == 0.05
