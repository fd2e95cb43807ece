"""A grid file, read and checked as far as that goes without making its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preceptor.documents import MOST_YAML
from preceptor.errors import UsageError
from preceptor.experiments.choices import (
    AS,
    Axis,
    Choice,
    Setting,
    Verb,
    check_key,
    is_key,
    labels_of,
    settings_of,
    zipped,
)
from preceptor.experiments.file_values import (
    as_mapping,
    check_filled,
    check_keys,
    list_at,
    mapping_at,
    text_at,
    whole_number,
)
from preceptor.experiments.marked_yaml import MarkedYaml, read_marked
from preceptor.messages import did_you_mean
from preceptor.reading import read_text

__all__ = ["GridFile", "Published", "Where", "parse_grid", "read_grid"]

_SECTIONS: tuple[Verb, ...] = ("teach", "label", "distill")
_KEYS = ("name", "fixed", "seed", "pair", *_SECTIONS, "exclude", "compare", "published", "out", "cells", "ranks")


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on cells: the value of each named choice; and its place in the file."""

    choices: Mapping[str, Any]
    place: str


@dataclass(frozen=True, slots=True)
class Published:
    """A published number: of which cells, in percent, and where it stands."""

    where: Where
    accuracy: float
    std: float | None
    n: int | None
    source: str


@dataclass(frozen=True, slots=True)
class GridFile:
    """A grid file.

    Attributes:
        yaml: the file, with the line of each value.
        name: of the grid.
        fixed: settings of all cells.
        seeds: of teachers and students alike.
        zips: top-level lists of mappings, whose keys change together.
        sections: the axes of each verb that the file mentions.
        exclude: combinations that are left out.
        baseline: cells that the others are compared with, or None.
        published: numbers to show beside ours.
        out: folder of the grid.
        cells: folder of the cells, which several grids may share.
        ranks: processes of each cell.
    """

    yaml: MarkedYaml
    name: str
    fixed: tuple[Setting, ...]
    seeds: tuple[int, ...]
    zips: tuple[Axis, ...]
    sections: Mapping[Verb, tuple[Axis, ...]]
    exclude: tuple[Where, ...]
    baseline: Where | None
    published: tuple[Published, ...]
    out: Path
    cells: Path
    ranks: int

    def fail(self, place: str, problem: str) -> UsageError:
        """Return an error with its place in the file."""
        return UsageError(f"{self.yaml.at(place)}: {problem}")


def read_grid(path: Path, changes: Mapping[str, Any] | None = None) -> GridFile:
    """Return a grid file.

    Args:
        path: of the file.
        changes: as for `parse_grid`.

    Raises:
        UsageError: when it cannot be read, or something in it is wrong: one line with the place.
    """
    return parse_grid(read_text(path, most=MOST_YAML), path.name, changes, name=path.stem)


def parse_grid(text: str, source: str, changes: Mapping[str, Any] | None = None, *, name: str = "grid") -> GridFile:
    """Return the grid file that a text holds.

    Args:
        text: YAML.
        source: its name, for messages.
        changes: values that replace the text's, by path: "seed", "data.root" (of `fixed`), "distill.method".
        name: of the grid, unless the file has another.

    Raises:
        UsageError: when something is wrong: one line with the place.
    """
    marked = read_marked(text, source)
    values = _changed(marked, changes or {})
    try:
        return _parse(marked, values, name)
    except UsageError as error:
        place, colon, problem = str(error).partition(": ")
        raise UsageError(f"{marked.at(place)}{colon}{problem}") from error


def _parse(marked: MarkedYaml, values: Mapping[str, Any], name: str) -> GridFile:
    zips = tuple(_zip(key, values[key]) for key in values if key == "pair" or key not in _KEYS)
    sections = {verb: _axes(verb, values[verb]) for verb in _SECTIONS if verb in values}
    if not {"teach", "distill"} & set(sections):
        raise UsageError(
            "teach: neither this nor distill is there; a grid needs one of them, e.g. distill: {method: [kd, dkd]}"
        )
    if "label" in sections and "distill" not in sections:
        raise UsageError("label: is for students, and the file has no distill")
    fixed = [
        each for key, value in mapping_at(values, "fixed").items() for each in settings_of(key, value, f"fixed.{key}")
    ]
    compare = mapping_at(values, "compare")
    check_keys(compare, "compare", ("baseline", "over"))
    if compare.get("over", "seed") != "seed":
        raise UsageError(f"compare.over: {compare['over']!r}; runs are paired over seed")
    out = text_at(values, "out", f"grids/{name}")
    return GridFile(
        yaml=marked,
        name=text_at(values, "name", name),
        fixed=tuple(fixed),
        seeds=_seeds(values.get("seed", 0)),
        zips=zips,
        sections=sections,
        exclude=tuple(_where(each, f"exclude[{number}]") for number, each in enumerate(list_at(values, "exclude"))),
        baseline=_where(compare["baseline"], "compare.baseline") if "baseline" in compare else None,
        published=tuple(_published(each, f"published[{n}]") for n, each in enumerate(list_at(values, "published"))),
        out=Path(out),
        cells=Path(text_at(values, "cells", str(Path(out).parent / "cells"))),
        ranks=whole_number(values.get("ranks", 1), "ranks"),
    )


def _changed(marked: MarkedYaml, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file's values with changes: of a section where the key starts with its name, else of `fixed`."""
    values = dict(marked.values)
    for key, value in changes.items():
        first, dot, rest = key.partition(".")
        if key in _KEYS and key not in (*_SECTIONS, "fixed", "pair"):
            values[key] = value
        elif dot and first in _SECTIONS:
            values[first] = {**mapping_at(values, first), rest: value}
        else:
            for verb in _SECTIONS:
                if key in mapping_at(values, verb):
                    raise UsageError(f"--set {key}: {verb} sets it in {marked.source}; write {verb}.{key}")
            values["fixed"] = {**mapping_at(values, "fixed"), key: value}
    return values


def _zip(key: str, entries: Any) -> Axis:
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        if key == "pair":
            raise UsageError("pair: expected a list of mappings, as in [{teacher.model: wrn_40_2, model: wrn_16_2}]")
        if is_key(key):
            raise UsageError(f"{key}: is a key of runs; it stands under fixed, teach or distill")
        near = did_you_mean(key, _KEYS, most=1, otherwise="other keys hold lists of mappings, which are zipped")
        raise UsageError(f"{key}: unknown key{near}")
    check_filled(entries, key)
    for number, entry in enumerate(entries):
        if set(entry) - {AS} != set(entries[0]) - {AS}:
            there, here = (", ".join(sorted(set(each) - {AS})) or "nothing" for each in (entries[0], entry))
            raise UsageError(
                f"{key}[{number}]: sets {here}, and {key}[0] sets {there}; zipped entries set the same keys"
            )
    choices = []
    for number, (label, entry) in enumerate(zip(zipped(entries), entries, strict=True)):
        place = f"{key}[{number}]"
        settings = (
            setting
            for inner, value in entry.items()
            if inner != AS
            for setting in settings_of(inner, value, f"{place}.{inner}")
        )
        choices.append(Choice(label, entry, tuple(settings), place))
    return Axis(key, _distinct(choices, key))


def _axes(verb: Verb, section: Any) -> tuple[Axis, ...]:
    axes = []
    for key, value in as_mapping(section, verb).items():
        place = f"{verb}.{key}"
        check_key(key, place, verb)
        entries = value if isinstance(value, list) else [value]
        check_filled(entries, place)
        places = [f"{place}[{number}]" for number in range(len(entries))] if isinstance(value, list) else [place]
        choices = [
            Choice(label, entry, settings_of(key, entry, inner), inner)
            for label, entry, inner in zip(labels_of(entries), entries, places, strict=True)
        ]
        axes.append(Axis(key, _distinct(choices, place), verb))
    return tuple(axes)


def _distinct(choices: Sequence[Choice], place: str) -> tuple[Choice, ...]:
    for number, choice in enumerate(choices):
        if any(choice.value == other.value or choice.label == other.label for other in choices[:number]):
            raise UsageError(f"{place}[{number}]: {choice.label} stands there twice")
    return tuple(choices)


def _seeds(value: Any) -> tuple[int, ...]:
    seeds = value if isinstance(value, list) else [value]
    check_filled(seeds, "seed")
    for number, seed in enumerate(seeds):
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise UsageError(f"seed: expected whole numbers from 0 on, got {seed!r}")
        if seed in seeds[:number]:
            raise UsageError(f"seed: {seed} stands there twice")
    return tuple(seeds)


def _where(value: Any, place: str) -> Where:
    choices = as_mapping(value, place)
    if not choices:
        raise UsageError(f"{place}: names no choice")
    return Where(choices, place)


def _published(value: Any, place: str) -> Published:
    entry = as_mapping(value, place)
    check_keys(entry, place, ("where", "accuracy", "std", "n", "source"))
    for key in ("where", "accuracy", "source"):
        if key not in entry:
            raise UsageError(f"{place}: has no {key}")
    for key in ("accuracy", "std"):
        if entry.get(key) is not None and (isinstance(entry[key], bool) or not isinstance(entry[key], int | float)):
            raise UsageError(f"{place}.{key}: expected a number in percent, got {entry[key]!r}")
    n = entry.get("n")
    return Published(
        _where(entry["where"], f"{place}.where"),
        float(entry["accuracy"]),
        None if entry.get("std") is None else float(entry["std"]),
        None if n is None else whole_number(n, f"{place}.n"),
        str(entry["source"]),
    )
