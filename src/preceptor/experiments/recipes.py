"""From settings to the recipe of a cell, and to the digest of what that recipe does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from preceptor.artifacts.create import check_names
from preceptor.artifacts.run_folder import network_of
from preceptor.config.overrides import make_recipe
from preceptor.config.resolve import make_policy, policy_defaults
from preceptor.config.sections import (
    PROTOCOL_KEYS,
    AnyRecipe,
    DistillRecipe,
    InputsSection,
    LabelRecipe,
    ObjectiveSection,
    TeachRecipe,
)
from preceptor.config.terms import resolve_terms, source_of
from preceptor.config.trust import reaching_out
from preceptor.errors import UsageError
from preceptor.experiments.choices import Setting, Verb, flow
from preceptor.signature import default_hyperparameters

__all__ = ["digest", "merged", "recipe_of", "words_of"]

_KINDS: Mapping[Verb, type[TeachRecipe] | type[DistillRecipe] | type[LabelRecipe]] = {
    "teach": TeachRecipe,
    "label": LabelRecipe,
    "distill": DistillRecipe,
}
# what a cell is called, where and how it runs, and what a preset has become already
_OUTSIDE = {
    *("kind", "preset", "out", "device", "workers", "sharding", "resume", "overwrite", "track"),
    *("checkpoint_every_steps", "rows_per_shard"),
}


def merged(*groups: Sequence[Setting]) -> tuple[Setting, ...]:
    """Return the settings of all groups; those of a later group win, and a bare section starts the section anew."""
    settings: dict[str, Setting] = {}
    for group in groups:
        anew = tuple(f"{setting.key}." for setting in group)
        settings = {key: setting for key, setting in settings.items() if not key.startswith(anew)}
        settings |= {setting.key: setting for setting in group}
    return tuple(settings.values())


def words_of(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Return the words that stand for settings on the command line."""
    return tuple(f"{setting.key}={flow(setting.value)}" for setting in settings)


@cache
def recipe_of(
    verb: Verb, words: tuple[str, ...], teacher: str | None = None, trusted: frozenset[str] | None = None
) -> AnyRecipe | LabelRecipe:
    """Return the recipe of a command, with every name in it checked that can be checked without reading data.

    Args:
        verb: of the command.
        words: its settings.
        teacher: name of the teacher's network, where a cell of the grid trains it.
        trusted: what may load code or reach the network; None: anything.

    Raises:
        UsageError: for a wrong key or value, or one that is not trusted.
    """
    recipe = make_recipe(
        _KINDS[verb], None, words, network_of=lambda path: network_of(path) if teacher is None else teacher
    )
    for key, value in reaching_out(recipe):  # before anything is imported
        if trusted is not None and value not in trusted:
            raise UsageError(
                f"{key}: names {value}, which runs code or reaches the network; a file alone starts neither; if you trust it, "
                f"add --trust {value}"
            )
    sections = dict(recipe)
    check_names(recipe.data, sections.get("model"))
    for key, section in sections.items():
        match section:
            case ObjectiveSection():
                resolve_terms(section, key, has_teacher=key == "method")
            case InputsSection():
                make_policy(section)
    return recipe


def digest(recipe: AnyRecipe | LabelRecipe, *, without: Sequence[str] = (), **replaced: Any) -> str:
    """Return twelve digits that two recipes share if and only if they do the same, however they are written.

    Keys and hyperparameters at their defaults are left out, so that those which later versions add change nothing. What a
    recipe leaves to the data's protocol and what it states itself are different.

    Args:
        recipe: of a cell.
        without: further keys that do not count.
        replaced: keys with other values: a cell's teacher is known by its own digest, not by its folder.
    """
    values: dict[str, Any] = recipe.model_dump(mode="json", exclude_defaults=True)
    values["data"] = recipe.data.model_dump(mode="json", exclude_defaults=True)
    values["data"].pop("root", None)  # where data are
    for key, section in recipe:
        match section:
            case ObjectiveSection():
                terms = resolve_terms(section, key, has_teacher=key == "method")
                values[key] = {
                    name: _without(default_hyperparameters(source_of(term["name"], name)), term)
                    for name, term in terms.items()
                }
            case InputsSection():
                policy = make_policy(section)[0]
                values[key] = _without(policy_defaults(policy.name), policy.model_dump(mode="json"))
            case _ if key in PROTOCOL_KEYS:
                own = {each: getattr(section, each) for each in PROTOCOL_KEYS[key] if each in section.model_fields_set}
                values[key] = {**values.get(key, {}), **own}
    kept = {key: value for key, value in values.items() if key not in {*_OUTSIDE, *without}}
    text = json.dumps({"verb": type(recipe).__name__, **kept, **replaced}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _without(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in defaults or value != defaults[key]}
