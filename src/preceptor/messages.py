"""Wording that messages share: the nearest known names, the first of many, of differences and of an error's lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["did_you_mean", "first_difference", "first_few", "first_line", "unheard"]


def did_you_mean(name: str, known: Iterable[str], *, most: int = 3, otherwise: str | None = None) -> str:
    """Return "; did you mean ...?" with the nearest known names, or else all known names.

    Args:
        name: what the user wrote; upper and lower case count as the same.
        known: all valid names.
        most: how many to suggest at most.
        otherwise: replaces the list of all names where none is near.

    Example:
        >>> did_you_mean("modl", ["model", "data"])
        '; did you mean model?'
        >>> did_you_mean("x", ["model", "data"])
        '; there are: model, data'
    """
    spelled: dict[str, str] = {}
    for each in known:
        spelled.setdefault(each.casefold(), each)
    near = difflib.get_close_matches(name.casefold(), spelled, n=most, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(spelled[each] for each in near)}?"
    if otherwise is not None:
        return f"; {otherwise}"
    return f"; there are: {', '.join(spelled.values())}" if spelled else "; there are none"


def first_few(names: Sequence[object], most: int = 3) -> str:
    """Return the first names with commas between them, and "..." where there are more.

    Example:
        >>> first_few(["cat", "dog", "cow", "pig"])
        'cat, dog, cow, ...'
    """
    return ", ".join(map(str, names[:most])) + ", ..." * (len(names) > most)


def first_difference(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, object, object] | None:
    """Return the first key whose values differ, dotted where mappings hold mappings, and both values; None: all are equal.

    A missing key counts as None.

    Example:
        >>> first_difference({"seed": 1, "data": {"name": "digits"}}, {"seed": 1, "data": {"name": "cifar10"}})
        ('data.name', 'digits', 'cifar10')
    """
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if (inner := first_difference(old, new)) is not None:
                return f"{key}.{inner[0]}", *inner[1:]
        elif old != new:
            return key, old, new
    return None


def unheard(line: str) -> None:
    """Tell nobody."""


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error that is not blank, at most 200 characters of it, or else its type.

    Example:
        >>> first_line(ValueError("\n no such size\nand more"))
        'no such size'
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:200]
