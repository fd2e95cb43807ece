"""A constructor read as configuration: hyperparameters, their defaults, and what is wrong with values."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Literal

import pytest
from pydantic import ValidationError

from preceptor.errors import UsageError
from preceptor.signature import Settings, check_hyperparameters, default_hyperparameters, explain


class Loss:
    def __init__(self, power: int, *, temperature: float = 4.0, mode: Literal["a", "b"] | float = "a") -> None:
        self.values = (power, temperature, mode)


class Inner(Settings):
    lr: float = 0.1


class Outer(Settings):
    optim: Inner = Inner()
    epochs: int


def test_defaults_are_in_order_and_required_ones_are_marked() -> None:
    assert default_hyperparameters(Loss) == {"power": inspect.Parameter.empty, "temperature": 4.0, "mode": "a"}
    assert list(default_hyperparameters(Loss, hidden={"power"})) == ["temperature", "mode"]
    assert default_hyperparameters(object) == {}


def test_values_are_converted_and_completed() -> None:
    checked = check_hyperparameters(Loss, {"power": "2", "mode": 0.5}, "method.loss")
    assert checked == {"power": 2, "temperature": 4.0, "mode": 0.5}
    assert Loss(**checked).values == (2, 4.0, 0.5)
    assert check_hyperparameters(partial(Loss, mode="b"), {"power": 1}, "method")["mode"] == "b"


def test_a_parameter_without_a_type_takes_any_value() -> None:
    def make(width=3, *, names=()):  # type: ignore[no-untyped-def]
        ...

    assert check_hyperparameters(make, {"width": 2.5, "names": ["a"]}, "method") == {"width": 2.5, "names": ["a"]}


def test_a_number_is_text_on_request_only() -> None:
    def read(*, target: str) -> None: ...

    assert check_hyperparameters(read, {"target": 5}, "data", numbers_as_text=True) == {"target": "5"}
    with pytest.raises(UsageError, match=r"^data\.target: input should be a valid string, got 5$"):
        check_hyperparameters(read, {"target": 5}, "data")


def test_every_mistake_has_a_line_with_its_key() -> None:
    with pytest.raises(UsageError) as caught:
        check_hyperparameters(Loss, {"temprature": 2, "mode": "c"}, "method.loss")
    lines = str(caught.value).splitlines()
    assert "method.loss.power: is needed and was not given" in lines
    assert "method.loss.temprature: unknown key; did you mean temperature?" in lines
    assert any(line.startswith("method.loss.mode: input should be 'a' or 'b', got 'c'") for line in lines)
    assert not any("literal" in line.split(":")[0] for line in lines)


def test_a_nested_key_is_suggested_from_its_own_section() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"optim": {"lrr": 1}, "epochs": 1})
    assert explain(caught.value, Outer) == "optim.lrr: unknown key; did you mean lr?"
    assert explain(caught.value, Outer, "teach") == "teach.optim.lrr: unknown key; did you mean lr?"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Inner().lr = 1.0  # type: ignore[misc]
