"""JSON and YAML that are read back: parsed within bounds, and checked against the type that describes them.

A damaged file gives one line: which file, which field, what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from preceptor.checksums import SEAL, check_json
from preceptor.errors import UsageError
from preceptor.reading import read_text

__all__ = [
    "MOST_YAML",
    "check_aliases",
    "first_problem",
    "parse_document",
    "parse_json",
    "parse_yaml",
    "read_document",
    "read_yaml",
]

_T = TypeVar("_T")
_MOST_JSON = 2**28  # bytes: the record of a long run has millions
MOST_YAML = 2**20  # bytes: a large grid has thousands, and a reader in Python takes a minute for these
_FREE_NODES = 10_000  # that a YAML file may have with its aliases written out, beyond one per character
_SHOWN = 60  # characters of a wrong value


def read_document(path: Path, kind: type[_T], *, where: str = "", infinite: bool = False, sealed: bool = False) -> _T:
    """Return what a JSON file holds, as its type; see `parse_document`.

    Args:
        path: of the file.
        kind: a pydantic model, or a dataclass.
        where: goes before the path in messages.
        infinite: whether numbers may be infinite.
        sealed: whether the file ends with its checksum, as `json_with_checksum` writes it.

    Raises:
        UsageError: when it is missing, no regular file, changed since it was sealed, or as for `parse_document`.
    """
    source, text = f"{where}{path}", read_text(path, where, most=_MOST_JSON)
    if not sealed:
        return parse_document(text, kind, source, infinite=infinite)
    values = parse_json(text, source, infinite=infinite)
    if isinstance(values, dict):
        values.pop(SEAL, None)
    found = parse_document(json.dumps(values), kind, source, infinite=infinite)
    check_json(path)
    return found


def parse_document(text: str, kind: type[_T], source: str, *, infinite: bool = False) -> _T:
    """Return what a JSON text holds, as its type; no value is converted but whole numbers to fractions and lists to tuples.

    Args:
        text: JSON.
        kind: a pydantic model, or a dataclass.
        source: name of the file, for messages.
        infinite: whether numbers may be infinite.

    Raises:
        UsageError: when it is no JSON, or not of this type: one line with the first field that is wrong.

    Examples:
        >>> from dataclasses import make_dataclass
        >>> parse_document('{"seed": 3}', make_dataclass("Run", [("seed", int)]), "run.json")
        Run(seed=3)
    """
    parse_json(text, source, infinite=infinite)
    try:
        found: _T = _adapter(cast("Any", kind)).validate_json(text, strict=True)
    except ValidationError as error:
        raise UsageError(f"{source}: {first_problem(error)}; the file is damaged or was changed") from error
    return found


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with a document: its field, the problem and the value."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    line = f"{f'{key}: ' * bool(key)}{message[0].lower()}{message[1:]}"
    if problem["type"] in {"missing", "extra_forbidden"}:
        return line
    value = repr(problem["input"])
    return f"{line}, got {value if len(value) <= _SHOWN else value[:_SHOWN] + '...'}"


def parse_json(text: str | bytes, source: str, *, infinite: bool = False) -> Any:
    """Return the value of a JSON text: without keys that stand there twice, without NaN.

    Args:
        text: JSON.
        source: name of the file, for messages.
        infinite: whether numbers may be infinite.

    Raises:
        UsageError: when it is anything else.
    """

    def constant(name: str) -> float:
        if name == "NaN" or not infinite:
            raise ValueError(f"{name} is no number")
        return float(name)

    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=constant)
    except RecursionError as error:
        raise UsageError(f"{source}: cannot be read (lists or objects are nested too deeply)") from error
    except ValueError as error:
        raise UsageError(f"{source}: cannot be read ({error})") from error


def read_yaml(path: Path, where: str = "") -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        UsageError: when it is missing, no regular file, not YAML, not a mapping, or much longer with its aliases written out.
    """
    return parse_yaml(read_text(path, where, most=MOST_YAML), f"{where}{path}")


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """Return the mapping in a YAML text.

    Args:
        text: YAML; tags that make other objects are refused.
        source: name of the file, for messages.

    Raises:
        UsageError: as for `read_yaml`.
    """
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        check_aliases(node, text)
        values = None if node is None else loader.construct_document(node)  # type: ignore[no-untyped-call]
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise UsageError(f"{source}: cannot be read ({' '.join(str(error).split())})") from error
    except RecursionError as error:
        raise UsageError(f"{source}: cannot be read (lists or mappings are nested too deeply)") from error
    if not isinstance(values, dict):
        raise UsageError(f"{source}: holds no keys")
    if others := [key for key in values if not isinstance(key, str)]:
        raise UsageError(f"{source}: {others[0]!r} is no name of a key")
    return values


def check_aliases(node: yaml.Node | None, text: str) -> None:
    """Check that a YAML text is not much longer with its aliases written out: ten lines can stand for 10^9 values.

    Args:
        node: what was parsed.
        text: that was parsed.

    Raises:
        ValueError: when it is.
    """
    sizes: dict[int, int] = {}
    most = len(text) + _FREE_NODES

    def size(inner: yaml.Node) -> int:
        if id(inner) not in sizes:
            sizes[id(inner)] = most + 1  # where it contains itself
            sizes[id(inner)] = min(1 + sum(map(size, _children(inner))), most + 1)
        return sizes[id(inner)]

    if node is not None and size(node) > most:
        raise ValueError(f"its aliases stand for more than {most:,} values, or contain themselves")


def _children(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return (each for pair in node.value for each in pair)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice!r} stands there twice")
    return values


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
