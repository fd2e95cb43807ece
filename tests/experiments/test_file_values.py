"""Values of a grid file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from preceptor.errors import UsageError
from preceptor.experiments import file_values as values


def test_what_is_as_it_should_be_is_returned() -> None:
    assert values.whole_number(3, "x") == 3
    assert (values.text_at({"a": "b"}, "a", "c"), values.text_at({}, "a", "c")) == ("b", "c")
    assert (values.list_at({"a": [1]}, "a"), values.list_at({"a": None}, "a")) == ([1], [])
    assert (values.mapping_at({"a": {"b": 1}}, "a"), values.as_mapping(None, "a")) == ({"b": 1}, {})
    values.check_filled([1], "a")
    values.check_keys({"a": 1}, "x", ["a"])


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: values.whole_number(0, "x"), "x: expected a whole number from 1 on, got 0"),
        (lambda: values.whole_number(True, "x"), "x: expected a whole number from 1 on, got True"),
        (lambda: values.text_at({"a": ""}, "a", "c"), "a: expected text, got ''"),
        (lambda: values.list_at({"a": "b"}, "a"), "a: expected a list"),
        (lambda: values.mapping_at({"a": [1]}, "a"), "a: expected keys with values, got [1]"),
        (lambda: values.check_filled([], "a"), "a: is an empty list"),
        (lambda: values.check_keys({"over": 1}, "x", ["ovr"]), "x.over: unknown key; did you mean ovr?"),
    ],
)
def test_what_is_not_is_told_with_its_place(check: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        check()
    assert str(error.value) == message
