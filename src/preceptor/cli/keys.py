"""The keys of a recipe: help, `preceptor config`, and from words to what they set; all of it without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.table import Table
from rich.text import Text

from preceptor.artifacts.run_folder import network_of
from preceptor.config.overrides import SHORT_FOR, make_recipe
from preceptor.config.sections import DistillRecipe, LabelRecipe, ObjectiveSection, TeachRecipe
from preceptor.config.terms import stated_terms
from preceptor.config.trust import check_named, reaching_out
from preceptor.console import open_console
from preceptor.documents import read_yaml
from preceptor.errors import UsageError
from preceptor.types import ClassSelection

__all__ = ["config_verb", "field_of", "key_called", "keys_of", "print_help", "read_recipe", "read_sections"]

_RECIPES: dict[str, type[TeachRecipe] | type[DistillRecipe] | type[LabelRecipe]] = {
    "teach": TeachRecipe,
    "distill": DistillRecipe,
    "label": LabelRecipe,
}


def read_recipe(
    verb: str, words: Sequence[str], config: Path | None = None, values: Mapping[str, Any] | None = None
) -> TeachRecipe | DistillRecipe | LabelRecipe:
    """Return the recipe that words set on top of a file, or of values; its terms are named as objectives are.

    Raises:
        UsageError: one line per bad key; for what runs code or reaches the network and stands in the file only.
    """
    values = read_yaml(config, "config ") if config is not None else values
    recipe = make_recipe(_RECIPES[verb], values, words, network_of=network_of)
    if config is not None:
        check_named(reaching_out(recipe), words, f"config {config}")
    for key, section in recipe:
        if isinstance(section, ObjectiveSection):
            stated_terms(section, key, has_teacher=key == "method")
    return recipe


def read_sections(
    verb: str, words: Sequence[str]
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, str | None, ClassSelection, dict[str, Any] | None]:
    """Return `data`, `model`, `weights_key`, `classes` and `onnx` as words set them; None for one that they do not mention.

    Raises:
        UsageError: for a word of another section, or one that is no `key=value`.
    """
    keys = [word.partition("=")[0] for word in words]
    unknown = [key for key in keys if key.partition(".")[0] not in {"data", "model", "weights_key", "classes", "onnx"}]
    if unknown:
        raise UsageError(
            f"{unknown[0]}: {verb} takes data=..., data.KEY=..., model=NAME, model.KEY=..., weights_key=..., classes=... "
            "and onnx.KEY=... only"
        )
    words = [f"teacher.{word}" if word.startswith(("classes=", "onnx.")) else word for word in words]
    recipe = make_recipe(DistillRecipe, {"data": "none", "model": "none"}, words)
    sections = {key.partition(".")[0] for key in keys}
    data = recipe.data.model_dump() if "data" in sections else None
    model = recipe.model.model_dump() if "model" in sections else None
    onnx = recipe.teacher.onnx.model_dump() if "onnx" in sections else None
    return data, model, recipe.weights_key, recipe.teacher.classes, onnx


def print_help(verb: str) -> None:
    """Print every key of a verb, its type and its default."""
    console = open_console()
    console.print(f"Usage: preceptor {verb} [--config FILE.yaml] [--debug] key=value ...\n")
    console.print(f"{_RECIPES[verb].__doc__}\n")
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("key", no_wrap=True)
    table.add_column("meaning [type; default]")
    for key, field in _leaves(_RECIPES[verb]):
        default = "needed" if field.is_required() else f"default {_short(field.default)}"
        table.add_row(Text(key), Text(f"{field.description} [{_type_name(field)}; {default}]"))
    console.print(table)
    bare = ", ".join(sorted(set(SHORT_FOR) & set(_RECIPES[verb].model_fields)))
    console.print(
        f"\nAlone, {bare} stand for their first keys: data=cifar100 is data.name=cifar100.\n"
        "data, model, objective and method take the further keys of what they name: `preceptor list methods kd` shows them.\n"
        f"`preceptor config {verb}` prints all of it as YAML.",
        highlight=False,
    )


def config_verb(verb: str, words: Sequence[str]) -> None:
    """Carry out `preceptor config`."""
    values = {"data": "digits", **({"out": "labels/t"} if verb == "label" else {"model": "convnet_s"})}
    values |= {} if verb == "teach" else {"teacher": "runs/t"}
    recipe = read_recipe(verb, words, values=values)
    console = open_console(soft_wrap=True)
    console.print(f"# preceptor {verb} --config FILE.yaml; null means: as the data's protocol says", highlight=False)
    for line in _yaml_lines(recipe, recipe.model_dump(mode="json")):
        console.print(line, highlight=False)


def key_called(name: str, words: Sequence[str]) -> str | None:
    """Return the setting that an option's name stands for, whole or its last part; None where the verb takes no such one.

    Args:
        name: of the option, without dashes.
        words: of the command line, the verb first.

    Examples:
        >>> key_called("lr", ["distill"]), key_called("model", ["evaluate"]), key_called("seed", ["evaluate"])
        ('optim.lr', 'model', None)
    """
    keys = keys_of(words)
    return next((key for key in keys if key == name), next((key for key in keys if key.endswith(f".{name}")), None))


def keys_of(words: Sequence[str]) -> list[str]:
    """Return the settings that a verb takes, with those that stand for a section; none of a verb without settings.

    Args:
        words: of the command line, the verb first.
    """
    recipe = _recipe_of(words)
    if recipe is None:
        return []
    keys = [*(key for key in SHORT_FOR if key in recipe.model_fields), *(key for key, _ in _leaves(recipe))]
    if words[0] in {"evaluate", "assess"}:
        keys = [key for key in keys if key.partition(".")[0] in {"data", "model"}]
    return keys


def field_of(key: str, words: Sequence[str]) -> object:
    """Return the type of a setting; None where the verb takes no such one.

    Args:
        key: whole, as `keys_of` returns it.
        words: of the command line, the verb first.
    """
    recipe = _recipe_of(words)
    stands_for = f"{key}.{SHORT_FOR[key]}" if key in SHORT_FOR else key
    leaves = () if recipe is None else _leaves(recipe)
    return next((field.annotation for name, field in leaves if name == stands_for), None)


def _recipe_of(words: Sequence[str]) -> type[TeachRecipe] | type[DistillRecipe] | type[LabelRecipe] | None:
    verb = {"curve": "distill", "evaluate": "teach", "assess": "teach"}.get(words[0], words[0])
    return _RECIPES.get(words[1] if verb == "config" and len(words) > 1 else verb)


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _type_name(field: FieldInfo) -> str:
    name = str(field.annotation) if not isinstance(field.annotation, type) else field.annotation.__name__
    for noise in ("typing.", "preceptor.config.sections.", "Literal", "Optional", "Union"):
        name = name.replace(noise, "")
    return name.replace(" | None", "").strip("[]") if name.startswith("[") else name.replace(" | None", "")


def _short(default: object) -> str:
    return "" if default is PydanticUndefined else "none" if default is None else str(default)


def _yaml_lines(recipe: BaseModel, values: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield YAML lines, each with its key's description as a comment."""
    for name, value in values.items():
        field = type(recipe).model_fields.get(name)
        inner = recipe.__dict__.get(name)
        if isinstance(inner, BaseModel):
            yield f"{'  ' * depth}{name}:"
            yield from _yaml_lines(inner, value, depth + 1)
            continue
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).splitlines()[0]
        comment = f"  # {field.description}" if field is not None and field.description else ""
        yield f"{'  ' * depth}{name}: {text}{comment}"
