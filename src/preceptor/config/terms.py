"""From an `objective` or `method` section to the sum of terms it stands for.

A key of the section is a hyperparameter of the objective it names (`method.temperature=4`), its `weight`, or the name of a term
(`method.cross_entropy.weight=0.5`, `method.at.weight=1000`); a term not in the named sum is added to it. A name with a colon,
`PKG.MODULE:CLASS`, is an objective of the user's own; its term is called like the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from preceptor.config.procedures import PROCEDURES
from preceptor.config.sections import ObjectiveSection
from preceptor.config.trust import PYTHON, is_own_class
from preceptor.errors import UsageError
from preceptor.lazy import LazyImport
from preceptor.messages import did_you_mean
from preceptor.objectives.distill import METHODS
from preceptor.objectives.entry import Entry
from preceptor.objectives.schedules import SCHEDULES, Schedule, Weight
from preceptor.objectives.teacher import OBJECTIVES, SUMS
from preceptor.signature import check_hyperparameters, default_hyperparameters

__all__ = ["TERMS", "make_weight", "name_of", "objective_of", "resolve_terms", "source_of", "stated_terms"]

_NUMBER = TypeAdapter(Annotated[float, Field(allow_inf_nan=False)])
TERMS: Mapping[str, Entry] = {**OBJECTIVES, **METHODS, **PROCEDURES}


def resolve_terms(section: ObjectiveSection, where: str, *, has_teacher: bool) -> dict[str, dict[str, Any]]:
    """Return the terms of a section, each with its objective's name, its weight and every hyperparameter, as plain data.

    Args:
        section: what the user wrote.
        where: "objective" or "method", for messages.
        has_teacher: whether methods, which learn from a teacher, may be used.

    Raises:
        UsageError: for an unknown name, hyperparameter or term, or a wrong value.
    """
    terms = stated_terms(section, where, has_teacher=has_teacher)
    entries = TERMS if has_teacher else OBJECTIVES
    return {name: _resolve_term(name, settings, where, entries) for name, settings in terms.items()}


def stated_terms(section: ObjectiveSection, where: str, *, has_teacher: bool) -> dict[str, dict[str, Any]]:
    """Return the terms of a section, each with its name and what was set of it; of objectives only the user's are imported.

    Args:
        section: as for `resolve_terms`, and so are the others.
        where: of it.
        has_teacher: of the run.

    Raises:
        UsageError: for the name of no objective, or a key of the section that is none of a term.
    """
    entries = TERMS if has_teacher else OBJECTIVES
    terms = _named(section.name, where, entries, has_teacher=has_teacher)
    main = next((term for term, settings in terms.items() if settings["name"] == section.name), None)
    own = {"weight", *default_hyperparameters(source_of(str(section.name), where))} if main else set()
    for key, value in section.hyperparameters.items():
        if key in own and main is not None:
            terms[main][key] = value
        elif key in terms or key in entries or (isinstance(value, Mapping) and "name" in value):
            settings = dict(value) if isinstance(value, Mapping) else {"weight": value}
            terms[key] = {**terms.get(key, {"name": key}), **settings}
        else:
            raise UsageError(f"{where}.{key}: unknown key{did_you_mean(key, [*sorted(own), *terms, *entries])}")
    if not terms:
        raise UsageError(f"{where}: names no objective and no term")
    return terms


def source_of(name: str, where: str) -> LazyImport[Any] | type[Any]:
    """Return where the class of an objective is, by its name in `TERMS`; the class itself of one's own, imported.

    Raises:
        UsageError: for one's own that cannot be imported, or is no objective.
    """
    if not is_own_class(name):
        return TERMS[name].source
    from preceptor.objectives.own import own_objective  # noqa: PLC0415  (imports torch)

    return own_objective(name, where)


def objective_of(name: str, where: str) -> type[Any]:
    """Return the class of an objective, imported.

    Raises:
        UsageError: as for `source_of`.
    """
    source = source_of(name, where)
    return source.load() if isinstance(source, LazyImport) else source


def make_weight(value: object, where: str) -> Weight:
    """Return a weight: a number, or a schedule from its plain values.

    Raises:
        UsageError: for anything else.
    """
    if isinstance(value, Mapping):
        settings = dict(value)
        shape = settings.pop("schedule", None)
        if shape not in SCHEDULES:
            raise UsageError(f"{where}.weight.schedule: unknown {shape!r}{did_you_mean(str(shape), SCHEDULES)}")
        kind = SCHEDULES[shape]
        hyperparameters = check_hyperparameters(kind, settings, f"{where}.weight")
        try:
            return kind(**hyperparameters)
        except ValueError as error:
            raise UsageError(f"{where}.weight.{error}") from error
    try:
        return _NUMBER.validate_python(None if isinstance(value, bool) else value)
    except ValidationError as error:
        raise UsageError(f"{where}.weight: expected a number or a schedule, got {value!r}") from error


def name_of(section: ObjectiveSection) -> str:
    """Return what a section is called: the name of its objective or, of a sum without a name, those of its terms.

    Examples:
        >>> name_of(ObjectiveSection(brier={"weight": 1}, lipschitz={"weight": 1e-5}))
        'brier+lipschitz'
    """
    return section.name or "+".join(section.hyperparameters) or "none"


def _named(
    name: str | None, where: str, entries: Mapping[str, Entry], *, has_teacher: bool
) -> dict[str, dict[str, Any]]:
    if name is None:
        return {}
    if is_own_class(name):
        return {_class_name(name): {"name": name, "weight": 1.0}}
    if name.startswith(PYTHON):
        raise UsageError(
            f"{where}: {name.removeprefix(PYTHON)} was passed from Python; {where}=PKG.MODULE:CLASS names it"
        )
    if name in SUMS:
        return {term: {"name": term, "weight": _plain(weight)} for term, weight in SUMS[name].items()}
    if name in entries:
        entry = entries[name]
        weights = {**entry.companions, name: entry.weight}
        return {term: {"name": term, "weight": _plain(weight)} for term, weight in weights.items()}
    if name in TERMS and not has_teacher:
        raise UsageError(f"{where}: {name} learns from a teacher; use it as method=... of preceptor distill")
    raise UsageError(f"{where}: unknown name {name!r}{did_you_mean(name, [*entries, *SUMS])}")


def _resolve_term(name: str, settings: dict[str, Any], where: str, entries: Mapping[str, Entry]) -> dict[str, Any]:
    key, place = settings.pop("name"), f"{where}.{name}"
    implied: Mapping[str, Any] = {}
    if is_own_class(key):
        weight = _plain(make_weight(settings.pop("weight", 1.0), place))
    elif not isinstance(key, str) or key not in entries:
        raise UsageError(f"{place}.name: unknown name {key!r}{did_you_mean(str(key), entries)}")
    else:
        weight = _plain(make_weight(settings.pop("weight", _plain(entries[key].weight)), place))
        implied = entries[key].hyperparameters
    values = check_hyperparameters(objective_of(key, place), {**implied, **settings}, place)
    if is_own_class(key):
        _check_plain(values, place)
    return {"name": key, "weight": weight, **values}


def _class_name(place: str) -> str:
    return place.rpartition(":")[2].rpartition(".")[2]


def _check_plain(values: Mapping[str, Any], where: str) -> None:
    """Check that a run folder can hold hyperparameters of the user's own."""
    for key, value in values.items():
        if not _is_plain(value):
            raise UsageError(
                f"{where}.{key}: {value!r} is no number, text, true, false, list or mapping, which a run folder can hold"
            )


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _plain(weight: Weight) -> float | dict[str, Any]:
    if isinstance(weight, Schedule):
        shape = next(name for name, kind in SCHEDULES.items() if type(weight) is kind)
        return {"schedule": shape, **asdict(weight)}
    return weight
