"""Kinds of damage: each changes one file, drawn by a seeded generator."""

from __future__ import annotations

import copy
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from campaign.formats import FORMATS, IS_TEXT, read, write

__all__ = ["KINDS", "NotApplicable", "damage", "kinds_of"]

Chance = random.Random


class NotApplicable(Exception):
    """The file cannot be damaged in this way."""


def damage(kind: str, path: Path, form: str, other: Path | None, chance: Chance) -> str:
    """Damage a file, and return what was done.

    Args:
        kind: one of KINDS.
        path: the file.
        form: its format.
        other: the same file of another run.
        chance: draws where.

    Raises:
        NotApplicable: when it cannot be damaged in this way.
    """
    if kind in _BYTES:
        return _BYTES[kind](path, chance)
    if kind in _TEXTS:
        return _TEXTS[kind](path, chance)
    if kind in _FILES:
        return _FILES[kind](path, other)
    return _change_tree(kind, path, form, chance)


def kinds_of(form: str, *, has_other: bool) -> list[str]:
    """Return the kinds of damage that a file of a format can take."""
    texts = [*_TEXTS] if form in IS_TEXT else []
    files = [kind for kind in _FILES if has_other or kind not in _NEED_OTHER]
    return [*_BYTES, *texts, *files, *(_VALUES if form in FORMATS else ())]


# of bytes


def _truncate(path: Path, chance: Chance) -> str:
    size = path.stat().st_size
    at = chance.randrange(1, max(size, 2))
    os.truncate(path, at)
    return f"cut from {size} to {at} bytes"


def _flip(path: Path, chance: Chance) -> str:
    content = bytearray(path.read_bytes())
    at, bit = chance.randrange(len(content)), chance.randrange(8)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {at} of {len(content)}"


def _zero(path: Path, chance: Chance) -> str:
    content = bytearray(path.read_bytes())
    length = min(len(content), chance.choice([4, 64, 4096]))
    at = chance.randrange(len(content) - length + 1)
    if not any(content[at : at + length]):
        raise NotApplicable
    content[at : at + length] = bytes(length)
    path.write_bytes(content)
    return f"{length} zeros from byte {at} of {len(content)}"


def _empty(path: Path, chance: Chance) -> str:
    path.write_bytes(b"")
    return "empty"


def _twice(path: Path, chance: Chance) -> str:
    path.write_bytes(2 * path.read_bytes())
    return "its content twice"


def _garbage(path: Path, chance: Chance) -> str:
    path.write_bytes(chance.randbytes(path.stat().st_size))
    return "random bytes"


# of text


def _not_utf8(path: Path, chance: Chance) -> str:
    content = path.read_bytes()
    at = chance.randrange(len(content) + 1)
    path.write_bytes(content[:at] + b"\xff\xfe\x80" + content[at:])
    return f"no UTF-8 at byte {at}"


def _utf16(path: Path, chance: Chance) -> str:
    path.write_bytes(path.read_bytes().decode().encode("utf-16"))
    return "in UTF-16"


def _deep(path: Path, chance: Chance) -> str:
    path.write_text("[" * 100_000)
    return "100,000 brackets"


def _duplicate(path: Path, chance: Chance) -> str:
    lines = path.read_text().splitlines(keepends=True)
    at = chance.randrange(len(lines))
    path.write_text("".join([*lines[: at + 1], *lines[at:]]))
    return f"line {at + 1} twice"


def _digit(path: Path, chance: Chance) -> str:
    text = path.read_text()
    places = [found.start() for found in re.finditer(r"\d", text)]
    if not places:
        raise NotApplicable
    at = chance.choice(places)
    path.write_text(f"{text[:at]}{(int(text[at]) + chance.randrange(1, 10)) % 10}{text[at + 1 :]}")
    return f"another digit at {at}"


def _bomb(path: Path, chance: Chance) -> str:
    names = "abcdefghi"
    lines = [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)]
    path.write_text("\n".join(["a: &a [x]", *lines, path.read_text()]))
    return "a YAML bomb in front"


# of files


def _missing(path: Path, other: Path | None) -> str:
    path.unlink()
    return "deleted"


def _directory(path: Path, other: Path | None) -> str:
    path.unlink()
    path.mkdir()
    return "a folder in its place"


def _fifo(path: Path, other: Path | None) -> str:
    path.unlink()
    os.mkfifo(path)
    return "a FIFO in its place"


def _endless(path: Path, other: Path | None) -> str:
    path.unlink()
    path.symlink_to("/dev/zero")
    return "a link to /dev/zero"


def _loop(path: Path, other: Path | None) -> str:
    path.unlink()
    path.symlink_to(path.name)
    return "a link to itself"


def _swapped(path: Path, other: Path | None) -> str:
    assert other is not None
    shutil.copyfile(other, path)
    return f"that of {other.parent.name}"


def _linked(path: Path, other: Path | None) -> str:
    assert other is not None
    path.unlink()
    path.symlink_to(other.resolve())
    return f"a link to that of {other.parent.name}"


# of values: each returns what a leaf becomes


def _change_tree(kind: str, path: Path, form: str, chance: Chance) -> str:
    tree = copy.deepcopy(read(form, path))
    places = [place for place in _places(tree) if _VALUES[kind](_at(tree, place), chance) is not _KEPT]
    if not places:
        raise NotApplicable
    groups: dict[tuple[object, ...], list[tuple[Any, ...]]] = {}
    for place in places:  # rows of one list are one place
        groups.setdefault(tuple("*" if isinstance(key, int) else key for key in place), []).append(place)
    place = chance.choice(groups[chance.choice([*groups])])
    *above, key = place
    holder = _at(tree, tuple(above))
    value = _VALUES[kind](holder[key], chance)
    if value is _DELETED:
        del holder[key]
    else:
        holder[key] = value
    try:
        write(form, path, tree)
    except Exception as error:  # a format that cannot hold such a value
        raise NotApplicable from error
    return f"{kind} at {'.'.join(map(str, place))}"


def _places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield (*above, key)
        yield from _places(value, (*above, key))


def _at(tree: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        tree = tree[key]
    return tree


_DELETED, _KEPT = object(), object()


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | torch.Tensor) and value.ndim > 0 and len(value) > 0


def _with_one(value: Any, number: float, chance: Chance) -> Any:
    """Return an array with another number in one place."""
    made = value.clone() if isinstance(value, torch.Tensor) else value.copy()
    flat = made.reshape(-1)
    try:
        flat[chance.randrange(len(flat))] = number
    except (ValueError, OverflowError, RuntimeError, TypeError):
        return _KEPT
    return made


def _number(value: Any) -> bool:
    return isinstance(value, int | float) or (
        isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
    )


def _is_floating(value: Any) -> bool:
    return value.is_floating_point() if isinstance(value, torch.Tensor) else value.dtype.kind == "f"


def _delete(value: Any, chance: Chance) -> Any:
    return _DELETED


def _type(value: Any, chance: Chance) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(torch.int8 if value.dtype != torch.int8 else torch.float64)
    if isinstance(value, np.ndarray):
        return value.astype(np.int8 if value.dtype != np.int8 else np.float64) if value.dtype.kind in "fiub" else _KEPT
    if isinstance(value, str | bytes):
        return chance.choice([7, ["x"], {"x": 1}])
    return chance.choice(["x", ["x"], {"x": 1}])


def _huge(value: Any, chance: Chance) -> Any:
    if _is_array(value):
        return _with_one(value, 1e30 if _is_floating(value) else 10**9, chance)
    return chance.choice([10**9, 10**18, 10**40]) if _number(value) else _KEPT


def _negative(value: Any, chance: Chance) -> Any:
    if _is_array(value):
        return _with_one(value, -1, chance)
    return -abs(float(value)) - 1 if _number(value) and not isinstance(value, int) else -7 if _number(value) else _KEPT


def _nan(value: Any, chance: Chance) -> Any:
    if _is_array(value):
        return _with_one(value, float("nan"), chance) if _is_floating(value) else _KEPT
    return float("nan") if _number(value) else _KEPT


def _infinite(value: Any, chance: Chance) -> Any:
    if _is_array(value):
        return _with_one(value, float("inf"), chance) if _is_floating(value) else _KEPT
    return float("inf") if _number(value) else _KEPT


def _zero_number(value: Any, chance: Chance) -> Any:
    if _is_array(value):
        return torch.zeros_like(value) if isinstance(value, torch.Tensor) else np.zeros_like(value)
    return 0 if _number(value) and float(value) != 0 else _KEPT


def _null(value: Any, chance: Chance) -> Any:
    return _KEPT if value is None or isinstance(value, np.ndarray | torch.Tensor) else None


def _emptied(value: Any, chance: Chance) -> Any:
    if _is_array(value):
        return value[:0]
    return type(value)() if isinstance(value, str | bytes | list | dict) and value else _KEPT


def _shorter(value: Any, chance: Chance) -> Any:
    return value[:-1] if (_is_array(value) or isinstance(value, list | str | bytes)) and len(value) > 1 else _KEPT


def _nested(value: Any, chance: Chance) -> Any:
    for _ in range(60):
        value = [value]
    return value


def _escaped(value: Any, chance: Chance) -> Any:
    hostile = [
        "\x1b]0;owned\x07\x1b[2J",
        "[/b]",
        "<script>alert(1)</script>",
        "../../../escape",
        "x" * 100_000,
        "a\nb|c",
    ]
    return chance.choice(hostile) if isinstance(value, str) else _KEPT


_BYTES: dict[str, Callable[[Path, Chance], str]] = {
    "truncated": _truncate,
    "bit flipped": _flip,
    "zeros": _zero,
    "empty": _empty,
    "twice": _twice,
    "garbage": _garbage,
}
_TEXTS: dict[str, Callable[[Path, Chance], str]] = {
    "not UTF-8": _not_utf8,
    "UTF-16": _utf16,
    "deep nesting": _deep,
    "line twice": _duplicate,
    "digit": _digit,
    "bomb": _bomb,
}
_FILES: dict[str, Callable[[Path, Path | None], str]] = {
    "missing": _missing,
    "directory": _directory,
    "FIFO": _fifo,
    "endless": _endless,
    "link to itself": _loop,
    "swapped": _swapped,
    "linked elsewhere": _linked,
}
_NEED_OTHER = {"swapped", "linked elsewhere"}
_VALUES: dict[str, Callable[[Any, Chance], Any]] = {
    "key deleted": _delete,
    "type changed": _type,
    "huge number": _huge,
    "negative number": _negative,
    "NaN": _nan,
    "infinite": _infinite,
    "zero": _zero_number,
    "null": _null,
    "emptied": _emptied,
    "shorter": _shorter,
    "nested": _nested,
    "hostile text": _escaped,
}
KINDS = [*_BYTES, *_TEXTS, *_FILES, *_VALUES]
