"""JSON and YAML that are read back: bounds, types, one line for each kind of damage."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from preceptor.documents import parse_document, parse_json, parse_yaml, read_document, read_yaml
from preceptor.errors import UsageError


@dataclass(frozen=True, slots=True)
class Part:
    sides: tuple[int, ...]
    share: float = 0.5


class Whole(BaseModel):
    name: str
    parts: list[Part]
    more: dict[str, Any] = {}


GOOD: dict[str, Any] = {"name": "a", "parts": [{"sides": [1, 2]}]}


def test_what_is_whole_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(GOOD))
    assert read_document(tmp_path / "a.json", Whole) == Whole(name="a", parts=[Part((1, 2))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        (json.dumps(GOOD)[:-3], "cannot be read"),
        ("[]", "input should be an object"),
        ("null", "input should be an object"),
        ('{"parts": []}', "name: field required"),
        (json.dumps({**GOOD, "name": 3}), "name: input should be a valid string, got 3"),
        (json.dumps({**GOOD, "parts": {}}), "parts: input should be a valid array"),
        (
            json.dumps({**GOOD, "parts": [{"sides": ["1"]}]}),
            r"parts\.0\.sides\.0: input should be a valid integer, got '1'",
        ),
        (json.dumps({**GOOD, "parts": [{"sides": [True]}]}), r"parts\.0\.sides\.0: input should be a valid integer"),
        (json.dumps({**GOOD, "parts": [{"sides": [], "share": float("nan")}]}), "NaN is no number"),
        (json.dumps({**GOOD, "parts": [{"sides": [], "share": float("inf")}]}), "Infinity is no number"),
        ('{"name": "a", "parts": [], "name": "b"}', "'name' stands there twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"more":' * 100_000, "nested too deeply"),
        (json.dumps({**GOOD, "name": ["x" * 999]}), r"name: .*x\.\.\.; the file is damaged or was changed$"),
    ],
)
def test_each_damage_is_one_line_with_file_and_field(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UsageError, match=f"^where: .*a.json: .*{message}") as caught:
        read_document(tmp_path / "a.json", Whole, where="where: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_infinite_numbers_where_they_may_be() -> None:
    values = parse_document('{"name": "a", "parts": [], "more": {"nll": Infinity}}', Whole, "a", infinite=True)
    assert values.more == {"nll": float("inf")}
    with pytest.raises(UsageError, match="NaN is no number"):
        parse_json("[NaN]", "a", infinite=True)


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(12), "aliases stand for more than"),
        ("a: &a [*a]", "contain themselves"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("- 1", "holds no keys"),
        ("1: a", "1 is no name of a key"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("a: 2001-13-01", "month must be in"),
        ("a: [", "cannot be read"),
        ("a: \x1b", "cannot be read"),
        ("", "holds no keys"),
    ],
)
def test_yaml_costs_what_it_says(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    began = time.monotonic()
    with pytest.raises(UsageError, match=f"a.yaml: .*{message}") as caught:
        read_yaml(tmp_path / "a.yaml")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 60  # 10^12 values would take hours


def test_aliases_that_repeat_little_are_read() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: 2}", "x") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": 2},
    }


def test_a_large_yaml_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as handle:
        handle.truncate(2**40)
    with pytest.raises(UsageError, match="has 1,099,511,627,776 bytes, and at most 1,048,576 are read"):
        read_yaml(tmp_path / "a.yaml")
