"""Checks of an objective's settings: each returns the value, or says in one line what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["at_least", "one_of", "positive"]

_Choice = TypeVar("_Choice", bound=str)


def positive(value: float, name: str) -> float:
    """Return a knob that must be above 0.

    Raises:
        ValueError: when it is not.
    """
    if not value > 0:
        raise ValueError(f"{name}: {value} is not above 0")
    return value


def at_least(value: int, least: int, name: str) -> int:
    """Return a knob that must not be below some number.

    Raises:
        ValueError: when it is.
    """
    if value < least:
        raise ValueError(f"{name}: {value} is below {least}")
    return value


def one_of(value: _Choice, choices: Sequence[str], name: str) -> _Choice:
    """Return a knob that must be one of a few words.

    Raises:
        ValueError: when it is not.
    """
    if value not in choices:
        raise ValueError(f"{name}: unknown {value!r}; there are {', '.join(choices)}")
    return value
