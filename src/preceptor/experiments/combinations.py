"""The product of a grid's choices: for each combination the recipes of its teacher, its labels and its student."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from preceptor.config.sections import DistillRecipe, LabelRecipe, TeachRecipe
from preceptor.config.terms import name_of
from preceptor.errors import UsageError
from preceptor.experiments.choices import Axis, Choice, Scalar, Setting, Verb, scoped
from preceptor.experiments.grid_file import GridFile
from preceptor.experiments.recipes import merged, recipe_of, words_of

__all__ = ["Combination", "combinations"]

_PLACE_OF_TEACHER = "teacher=a-cell"  # stands for a teacher that the grid trains, while recipes are checked


@dataclass(frozen=True, slots=True)
class Combination:
    """One choice on each axis, and a seed.

    Attributes:
        seed: of teacher and student.
        chosen: the choice on each axis, by the axis's name in descriptions.
        labels: the readable value of each choice, and of what names a cell.
        teach: recipe of the teacher, where the grid trains it.
        label: recipe of the stored outputs, where the file asks for them.
        distill: recipe of the student, where there is one.
        words: of each verb's command, without teacher and folder.
        of_teacher: names of the choices that the teacher depends on.
    """

    seed: int
    chosen: Mapping[str, Choice]
    labels: Mapping[str, Scalar]
    teach: TeachRecipe | None
    label: LabelRecipe | None
    distill: DistillRecipe | None
    words: Mapping[Verb, tuple[str, ...]] = field(repr=False)
    of_teacher: frozenset[str] = frozenset()

    @property
    def values(self) -> dict[str, Any]:
        """The choices as the file states them, by name."""
        return {**self.labels, **{name: choice.value for name, choice in self.chosen.items() if name in self.labels}}


def combinations(file: GridFile, trusted: frozenset[str] | None = None) -> Iterator[Combination]:
    """Yield every combination of a grid file, the seeds outermost.

    Args:
        file: the grid file.
        trusted: as for `recipe_of`.

    Raises:
        UsageError: for a wrong key or value, or a key that two axes set: one line with the place.
    """
    axes = {_name(axis, file): axis for axis in (*file.zips, *itertools.chain(*file.sections.values()))}
    _check_apart(file, axes)
    fixed = _by_verb(file, file.fixed)
    for seed in file.seeds:
        for choices in itertools.product(*(axis.choices for axis in axes.values())):
            chosen = dict(zip(axes, choices, strict=True))
            own = {name: _of_choice(file, axes[name], choice) for name, choice in chosen.items()}
            settings: dict[Verb, tuple[Setting, ...]] = {
                verb: merged(fixed.get(verb, ()), *(each.get(verb, ()) for each in own.values()))
                for verb in file.sections
            }
            of_teacher = {name for name in own if "teach" in own[name]}
            yield _combination(file, seed, chosen, settings, of_teacher, axes, trusted)


def _combination(
    file: GridFile,
    seed: int,
    chosen: Mapping[str, Choice],
    settings: Mapping[Verb, tuple[Setting, ...]],
    of_teacher: set[str],
    axes: Mapping[str, Axis],
    trusted: frozenset[str] | None,
) -> Combination:
    words: dict[Verb, tuple[str, ...]] = {}
    recipes: dict[Verb, Any] = {}
    network = None
    for verb, own in settings.items():
        stated = words_of(own)
        words[verb] = stated if any(each.key == "seed" for each in own) else (*stated, f"seed={seed}")
        is_taught = "teach" in settings and verb != "teach"
        placed = (
            *words[verb],
            *([_PLACE_OF_TEACHER] if is_taught else []),
            *(["out=a-cell"] if verb == "label" else []),
        )
        try:
            recipes[verb] = recipe_of(verb, placed, network if is_taught else None, trusted)
        except UsageError as error:
            raise _placed(file, str(error).splitlines()[0], own) from error
        if verb == "teach":
            network = recipes[verb].model.name
    return Combination(
        seed=seed,
        chosen=chosen,
        labels=_labels(chosen, recipes, axes),
        teach=recipes.get("teach"),
        label=recipes.get("label"),
        distill=recipes.get("distill"),
        words=words,
        of_teacher=frozenset(of_teacher),
    )


def _labels(chosen: Mapping[str, Choice], recipes: Mapping[Verb, Any], axes: Mapping[str, Axis]) -> dict[str, Scalar]:
    """Return what names a combination: the networks, objective, method and inputs, and every choice there are several of."""
    teach, distill = recipes.get("teach"), recipes.get("distill")
    labels: dict[str, Scalar] = {}
    if teach is not None and distill is not None:
        labels["pair"] = f"{teach.model.name} -> {distill.model.name}"
    if teach is not None:
        labels |= {"objective": name_of(teach.objective), "stop_at": teach.stop_at}
    if distill is not None:
        labels |= {"method": name_of(distill.method), "inputs": distill.inputs.name}
    several = {name: choice.label for name, choice in chosen.items() if len(axes[name].choices) > 1 or name in labels}
    return {**labels, **several}


def _by_verb(file: GridFile, settings: Sequence[Setting]) -> dict[Verb, list[Setting]]:
    by_verb: dict[Verb, list[Setting]] = {}
    for setting in settings:
        try:
            own = scoped(setting, has_teach="teach" in file.sections)
        except UsageError as error:
            place, _, problem = str(error).partition(": ")
            raise file.fail(place, problem) from error
        if not set(own) & set(file.sections):
            raise file.fail(setting.place, f"is a key of {' and '.join(own)}, and the file has no such section")
        for verb, each in own.items():
            by_verb.setdefault(verb, []).append(each)
    return by_verb


def _of_choice(file: GridFile, axis: Axis, choice: Choice) -> Mapping[Verb, Sequence[Setting]]:
    return {axis.verb: choice.settings} if axis.verb is not None else _by_verb(file, choice.settings)


def _check_apart(file: GridFile, axes: Mapping[str, Axis]) -> None:
    """Check that no two axes set the same key of a verb."""
    seen: dict[tuple[Verb, str], Setting] = {}
    for axis in axes.values():
        for verb, settings in _of_choice(file, axis, axis.choices[0]).items():
            for setting in settings:
                before = seen.setdefault((verb, setting.key), setting)
                if before is not setting:
                    raise file.fail(setting.place, f"is set by {before.place} too")


def _name(axis: Axis, file: GridFile) -> str:
    """Return what an axis is called in descriptions: its key, with the verb before it where another verb owns that name."""
    key, verb = axis.name, axis.verb
    if verb is None:
        return key
    owner: Verb = "teach" if key == "stop_at" and "teach" in file.sections else "distill"
    owner = owner if owner in file.sections else "teach"
    is_shared = key in {"inputs", "model", "stop_at"} or any(each.name == key for each in file.sections[owner])
    if verb == owner or not is_shared:
        return key
    return "teacher.model" if (verb, key) == ("teach", "model") else f"{verb}.{key}"


def _placed(file: GridFile, problem: str, settings: Sequence[Setting]) -> UsageError:
    """Return an error of a recipe with the place of the setting that it is about."""
    key, colon, rest = problem.partition(": ")
    shared = [(_shared(key, setting.key), setting) for setting in settings]
    length, setting = max(shared, key=lambda each: each[0], default=(0, None))
    if not colon or setting is None or length == 0:
        return UsageError(f"{file.yaml.source}: {problem}")
    return file.fail(setting.place, rest if key in (setting.key, f"{setting.key}.name") else problem)


def _shared(key: str, other: str) -> int:
    """Return how many words two dotted keys share from the front."""
    pairs = zip(key.split("."), other.split("."), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
