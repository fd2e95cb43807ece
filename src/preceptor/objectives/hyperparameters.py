"""Checks of an objective's hyperparameters: each returns the value, or raises one line that names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["at_least", "fraction", "one_of", "positive"]

_Choice = TypeVar("_Choice", bound=str)
_Number = TypeVar("_Number", int, float)


def positive(value: float, name: str) -> float:
    """Return a hyperparameter that must be above 0.

    Raises:
        ValueError: when it is not.
    """
    if not value > 0:
        raise ValueError(f"{name}: {value} is not above 0")
    return value


def at_least(value: _Number, least: int, name: str) -> _Number:
    """Return a hyperparameter that must not be below a bound.

    Raises:
        ValueError: when it is.
    """
    if not value >= least:
        raise ValueError(f"{name}: {value} is below {least}")
    return value


def fraction(value: float, name: str, *, may_be_one: bool = False) -> float:
    """Return a hyperparameter that must be in [0, 1), or in [0, 1].

    Raises:
        ValueError: when it is not.
    """
    if not 0 <= value <= 1 or (value == 1 and not may_be_one):
        raise ValueError(f"{name}: {value} is not in [0, 1{']' if may_be_one else ')'}")
    return value


def one_of(value: _Choice, choices: Sequence[str], name: str) -> _Choice:
    """Return a hyperparameter that must be one of a few words.

    Raises:
        ValueError: when it is not.
    """
    if value not in choices:
        raise ValueError(f"{name}: unknown {value!r}; there are {', '.join(choices)}")
    return value
