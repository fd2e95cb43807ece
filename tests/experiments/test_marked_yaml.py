"""YAML with the line of every value."""

from __future__ import annotations

import pytest

from preceptor.errors import UsageError
from preceptor.experiments.marked_yaml import read_marked


def test_every_value_has_its_line() -> None:
    marked = read_marked("seed: [0, 1]\nteach:\n  objective:\n    - brier\n    - {name: kd, weight: 0.5}\n", "g.yaml")
    assert marked.values == {"seed": [0, 1], "teach": {"objective": ["brier", {"name": "kd", "weight": 0.5}]}}
    assert marked.lines["teach.objective[1].weight"] == 5
    assert marked.at("teach.objective[0]") == "g.yaml:4: teach.objective[0]"
    assert marked.at("teach.objective[1].lost") == "g.yaml:5: teach.objective[1].lost"
    assert marked.at("elsewhere") == "g.yaml: elsewhere"


def test_anchors_and_merged_mappings_are_as_in_yaml() -> None:
    marked = read_marked("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: *a\n", "g.yaml")
    assert marked.values == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "g.yaml: holds no keys"),
        ("- 1", "g.yaml: holds no keys"),
        ("a: [1,\nb: 2", "g.yaml:2: is not YAML"),
        ("a: 1\nb: 2\na: 3", "g.yaml:3: a: is set twice"),
        ("a:\n  b: {c: 1, c: 2}", "g.yaml:2: a.b.c: is set twice"),
        ("a: !!python/object/apply:os.getcwd []", "g.yaml:1: is not YAML"),
        ("a: &x [*x]", "g.yaml: is not YAML (its aliases stand for more than"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read_marked(text, "g.yaml")
    assert str(error.value).startswith(message)
