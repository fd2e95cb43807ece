from __future__ import annotations

from preceptor.data import SOURCES, names


def test_every_source_has_a_line() -> None:
    assert set(names()) == set(SOURCES)
    assert all(line.strip() and "\n" not in line for line in names().values())
