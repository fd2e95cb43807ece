from __future__ import annotations

import pytest

from preceptor.data import SOURCES, load, names
from preceptor.errors import UsageError


def test_every_source_has_a_line() -> None:
    assert set(names()) == set(SOURCES)
    assert all(line.strip() and "\n" not in line for line in names().values())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cifar1000", {}, r"unknown name 'cifar1000'; did you mean cifar100 or cifar10"),
        ("digits", {"size": 3}, r"data\.size: digits has no such key"),
        ("gaussian", {"dims": 3}, r"data\.dims: gaussian has no such key; it has num_classes, dim, variance"),
        ("cifar10", {}, r"data\.root: is needed by cifar10"),
        ("digits:here", {}, r"data\.path: digits has no such key"),
        ("gaussian", {"dim": "many"}, r"gaussian cannot use dim='many'"),
    ],
)
def test_what_is_wrong_is_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(name, options=options)
