"""Values of a grid file, of the type that they should have; a message starts with their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from preceptor.errors import UsageError
from preceptor.messages import did_you_mean

__all__ = ["as_mapping", "check_filled", "check_keys", "list_at", "mapping_at", "text_at", "whole_number"]


def whole_number(value: Any, place: str) -> int:
    """Return a value that is a whole number from 1 on.

    Raises:
        UsageError: when it is not so; the message starts with the place.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{place}: expected a whole number from 1 on, got {value!r}")
    return value


def text_at(values: Mapping[str, Any], key: str, default: str) -> str:
    """Return a key's text, or a default where the key is missing.

    Raises:
        UsageError: when it is not so; the message starts with the place.
    """
    value = values.get(key, default)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{key}: expected text, got {value!r}")
    return value


def list_at(values: Mapping[str, Any], key: str) -> list[Any]:
    """Return a key's list; an empty one where the key is missing.

    Raises:
        UsageError: when it is not so; the message starts with the place.
    """
    value = values.get(key) or []
    if not isinstance(value, list):
        raise UsageError(f"{key}: expected a list")
    return value


def mapping_at(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a key's mapping; an empty one where the key is missing.

    Raises:
        UsageError: when it is not so; the message starts with the place.
    """
    return as_mapping(values.get(key), key)


def as_mapping(value: Any, place: str) -> Mapping[str, Any]:
    """Return a value that is a mapping; an empty one for nothing.

    Raises:
        UsageError: when it is not so; the message starts with the place.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"{place}: expected keys with values, got {value!r}")
    return value


def check_filled(entries: Sequence[Any], place: str) -> None:
    """Check that a list has entries.

    Raises:
        UsageError: when it is not so; the message starts with the place.
    """
    if not entries:
        raise UsageError(f"{place}: is an empty list")


def check_keys(values: Mapping[str, Any], place: str, known: Sequence[str]) -> None:
    """Check that a mapping has known keys only.

    Raises:
        UsageError: when it is not so; the message starts with the place.
    """
    for key in values:
        if key not in known:
            raise UsageError(f"{place}.{key}: unknown key{did_you_mean(key, known, most=1)}")
