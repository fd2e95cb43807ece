from __future__ import annotations

import math

import pytest

from preceptor.objectives.hyperparameters import at_least, fraction, one_of, positive


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_what_must_be_positive_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=f"temperature: {value} is not above 0"):
        positive(value, "temperature")
    assert positive(0.1, "temperature") == 0.1


def test_a_word_that_is_none_of_the_few_is_named() -> None:
    assert one_of("mean", ("code", "mean"), "bank") == "mean"
    with pytest.raises(ValueError, match="bank: unknown 'men'; there are code, mean"):
        one_of("men", ("code", "mean"), "bank")


def test_a_number_that_is_too_small_is_named() -> None:
    assert at_least(2, 2, "stages") == 2
    with pytest.raises(ValueError, match="stages: 1 is below 2"):
        at_least(1, 2, "stages")
    with pytest.raises(ValueError, match="gamma: nan is below 0"):
        at_least(math.nan, 0, "gamma")


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_a_number_that_is_no_fraction_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=rf"momentum: {value} is not in \[0, 1\)"):
        fraction(value, "momentum")
    assert fraction(0.0, "momentum") == 0.0


def test_a_fraction_that_may_be_1() -> None:
    assert fraction(1.0, "keep_ratio", may_be_one=True) == 1.0
    with pytest.raises(ValueError, match=r"keep_ratio: 1.1 is not in \[0, 1\]"):
        fraction(1.1, "keep_ratio", may_be_one=True)
