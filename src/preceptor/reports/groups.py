"""The cells of a grid that differ in nothing but their seed, and groups compared with the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preceptor.artifacts.record import RunRecord
from preceptor.experiments.statistics import Comparison, Gain, compare, gain_of, mean_by_seed
from preceptor.reports.grid_folder import Cell, Choices, Published

__all__ = [
    "VERBS",
    "Compared",
    "Group",
    "Overall",
    "VerbGroups",
    "agrees",
    "by_setting",
    "group_cells",
    "named",
    "overall",
    "published_of",
    "varying",
]


VERBS = {"distill": "Students", "teach": "Teachers", "label": "Stored labels"}


@dataclass(frozen=True, slots=True)
class Group:
    """Cells with the same choices.

    Attributes:
        number: counted from 1, over all verbs: its anchor in the page.
        choices: by name.
        cells: one per seed.
    """

    number: int
    choices: Choices
    cells: tuple[Cell, ...]

    @property
    def records(self) -> dict[int, RunRecord]:
        """The records of those that are done, by seed."""
        return {cell.seed: cell.record for cell in self.cells if cell.record is not None}

    def train(self, metric: str) -> dict[int, float]:
        """Return a training metric of the last epoch by seed, as it was seen in training: augmented, while weights moved."""
        return {seed: value for seed, record in self.records.items() if (value := record.train.get(metric)) is not None}

    def test(self, metric: str) -> dict[int, float]:
        """Return a metric on test by seed, where it is known."""
        values = {seed: record.test.get(metric) for seed, record in self.records.items()}
        return {seed: value for seed, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Compared:
    """A group compared with the baseline of its setting.

    Attributes:
        group: that is compared.
        baseline: the group it is compared with.
        comparison: None when they share no seed that is done.
        wanted: seeds that at least one of them has; pairs are missing where the comparison has fewer.
    """

    group: Group
    baseline: Group
    comparison: Comparison | None
    wanted: int


@dataclass(frozen=True, slots=True)
class Overall:
    """What replaces the baseline's choices, compared with them over all settings.

    Attributes:
        choices: that replace the baseline's.
        settings: that have both.
        comparison: of the means over settings, one value per seed.
        is_even: whether every seed is a mean over all the settings.
    """

    choices: Choices
    settings: int
    comparison: Comparison
    is_even: bool


@dataclass(frozen=True, slots=True)
class VerbGroups:
    """The cells of a verb, in groups, compared.

    Attributes:
        verb: "distill" or "teach".
        groups: all of them.
        names: of the choices in which they differ.
        compared: setting by setting; empty without a baseline.
        overall: over all settings.
    """

    verb: str
    groups: list[Group]
    names: list[str]
    compared: list[Compared]
    overall: list[Overall]

    @property
    def title(self) -> str:
        """Their heading."""
        return VERBS[self.verb]


def group_cells(cells: Sequence[Cell], first: int = 1) -> list[Group]:
    """Return groups in the order of their first cells.

    Args:
        cells: of one verb.
        first: number of the first group.
    """
    found: dict[tuple[tuple[str, str], ...], list[Cell]] = {}
    for cell in cells:
        found.setdefault(_key(cell.choices), []).append(cell)
    return [Group(number, own[0].choices, tuple(own)) for number, own in enumerate(found.values(), start=first)]


def by_setting(groups: Sequence[Group], baseline: Choices, metric: str = "accuracy") -> list[Compared]:
    """Return each group compared with the group that has the baseline's choices and shares all others.

    Args:
        groups: of one verb; those that do not have the baseline's choices are not compared.
        baseline: choices by name.
        metric: on test; more is better.
    """
    pairs = _pairs(groups, baseline)
    differences = [_differences(group, base, metric) for group, base in pairs]
    comparisons = _compared([gain_of([*each.values()]) if each else None for each in differences])
    return [
        Compared(group, base, comparison, len({cell.seed for cell in (*group.cells, *base.cells)}))
        for (group, base), comparison in zip(pairs, comparisons, strict=True)
    ]


def overall(groups: Sequence[Group], baseline: Choices, metric: str = "accuracy") -> list[Overall]:
    """Return each alternative to the baseline's choices, compared over all settings that have both: a seed is one value.

    The arguments are those of `by_setting`.
    """
    alternatives: dict[tuple[tuple[str, str], ...], list[tuple[Group, dict[int, float]]]] = {}
    for group, base in _pairs(groups, baseline):
        if differences := _differences(group, base, metric):
            key = _key({name: group.choices[name] for name in baseline})
            alternatives.setdefault(key, []).append((group, differences))
    averaged = [mean_by_seed([own for _, own in settings]) for settings in alternatives.values()]
    comparisons = compare([gain_of([*values.values()]) for values in averaged])
    return [
        Overall(
            choices={name: settings[0][0].choices[name] for name in baseline},
            settings=len(settings),
            comparison=comparison,
            is_even=len({frozenset(own) for _, own in settings}) == 1,
        )
        for settings, comparison in zip(alternatives.values(), comparisons, strict=True)
    ]


def published_of(group: Group, published: Sequence[Published]) -> Published | None:
    """Return the published number of a group: of several, the one that names most of its choices."""
    fitting = [each for each in published if agrees(each.where, group.choices)]
    return max(fitting, key=lambda each: len(each.where), default=None)


def agrees(wanted: Choices, choices: Choices) -> bool:
    """Return whether choices include those that are wanted.

    Examples:
        >>> agrees({"method": "kd"}, {"method": "kd", "inputs": "real"})
        True
    """
    return all(name in choices and str(choices[name]) == str(value) for name, value in wanted.items())


def named(choices: Choices, names: Sequence[str] | None = None) -> str:
    """Return choices in words, those of `names` only.

    Examples:
        >>> named({"method": "kd", "inputs": "real"})
        'kd, real'
    """
    return ", ".join(str(value) for name, value in choices.items() if names is None or name in names)


def varying(groups: Sequence[Group]) -> list[str]:
    """Return the names of the choices in which groups differ, in their order; of a single group all."""
    names = list(dict.fromkeys(name for group in groups for name in group.choices))
    differing = [name for name in names if len({str(group.choices.get(name, "")) for group in groups}) > 1]
    return differing or names


def _pairs(groups: Sequence[Group], baseline: Choices) -> list[tuple[Group, Group]]:
    """Return each group that is not a baseline, with the baseline of its setting."""
    own = [group for group in groups if set(baseline) <= set(group.choices)]
    bases = {_setting(group, baseline): group for group in own if agrees(baseline, group.choices)}
    return [
        (group, bases[_setting(group, baseline)])
        for group in own
        if not agrees(baseline, group.choices) and _setting(group, baseline) in bases
    ]


def _setting(group: Group, baseline: Choices) -> tuple[tuple[str, str], ...]:
    return _key({name: value for name, value in group.choices.items() if name not in baseline})


def _differences(group: Group, base: Group, metric: str) -> dict[int, float]:
    """Return group minus baseline, by seed."""
    values, before = group.test(metric), base.test(metric)
    return {seed: values[seed] - before[seed] for seed in sorted(set(values) & set(before))}


def _compared(gains: Sequence[Gain | None]) -> list[Comparison | None]:
    """Return comparisons in the places of gains."""
    found = iter(compare([gain for gain in gains if gain is not None]))
    return [None if gain is None else next(found) for gain in gains]


def _key(choices: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in choices.items()))
