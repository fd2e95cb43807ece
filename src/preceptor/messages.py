"""Wording that messages share: near names, the first of many and of differences; numbers, sizes and times."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "as_bytes",
    "as_clock",
    "as_count",
    "as_duration",
    "as_milliseconds",
    "did_you_mean",
    "first_difference",
    "first_few",
    "first_line",
    "unheard",
]


def did_you_mean(name: str, known: Iterable[str], *, most: int = 3, otherwise: str | None = None) -> str:
    """Return "; did you mean ...?" with the nearest known names, or else all known names.

    Args:
        name: what the user wrote; upper and lower case count as the same.
        known: all valid names.
        most: how many to suggest at most.
        otherwise: replaces the list of all names where none is near.

    Examples:
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

    Examples:
        >>> first_few(["cat", "dog", "cow", "pig"])
        'cat, dog, cow, ...'
    """
    return ", ".join(map(str, names[:most])) + ", ..." * (len(names) > most)


def first_difference(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, object, object] | None:
    """Return the first key whose values differ, dotted where mappings hold mappings, and both values; None: all are equal.

    A missing key counts as None.

    Examples:
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

    Examples:
        >>> first_line(ValueError("\n no such size\nand more"))
        'no such size'
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:200]


def as_count(number: float) -> str:
    """Return a large number in short.

    Examples:
        >>> as_count(28_589_128), as_count(812), as_count(4.46e9), as_count(999_960)
        ('28.6 M', '812', '4.46 G', '1 M')
    """
    return _scaled(number, 1000, ("", "k", "M", "G", "T", "P"))


def as_bytes(size: float) -> str:
    """Return the size of a file; 1 MB is 1,000,000 bytes.

    Examples:
        >>> as_bytes(109_000_000), as_bytes(640)
        ('109 MB', '640 B')
    """
    return _scaled(size, 1000, ("B", "kB", "MB", "GB", "TB"))


def as_milliseconds(seconds: float) -> str:
    """Return a short time in milliseconds, without the unit.

    Examples:
        >>> as_milliseconds(0.0098), as_milliseconds(0.0614), as_milliseconds(2.5)
        ('9.8', '61', '2,500')
    """
    return f"{1000 * seconds:.1f}" if seconds < 0.01 else f"{1000 * seconds:,.0f}"


def as_clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds.

    Examples:
        >>> as_clock(1022.4), as_clock(90_000)
        ('0:17:02', '25:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def as_duration(seconds: float) -> str:
    """Return a time in words.

    Examples:
        >>> as_duration(8.06), as_duration(3720), as_duration(90)
        ('8.1 s', '1 h 02 min', '1 min 30 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _scaled(number: float, step: int, units: Sequence[str]) -> str:
    for unit in units[:-1]:
        if float(f"{number:.3g}") < step:  # as it is printed: 999,960 is 1 M
            return f"{number:.3g} {unit}".rstrip()
        number /= step
    return f"{number:,.3g} {units[-1]}"
