"""`preceptor teach`, `distill`, `label`, `evaluate` and `config`: from words to printed numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table
from rich.text import Text

from preceptor.api.measuring import evaluate
from preceptor.artifacts.identify import network_of
from preceptor.assessment import Metrics
from preceptor.config.overrides import SHORT_FOR, make_recipe, read_yaml
from preceptor.config.sections import DistillRecipe, LabelRecipe, TeachRecipe
from preceptor.distributed import join_processes
from preceptor.errors import UsageError
from preceptor.runner.label import label
from preceptor.runner.run import run
from preceptor.types import ClassSelection

__all__ = ["config_verb", "evaluate_verb", "key_called", "label_verb", "read_sections", "run_verb"]

Verb = Literal["teach", "distill", "label"]
_RUNS: dict[str, type[TeachRecipe] | type[DistillRecipe]] = {"teach": TeachRecipe, "distill": DistillRecipe}
_RECIPES: dict[Verb, type[TeachRecipe] | type[DistillRecipe] | type[LabelRecipe]] = {**_RUNS, "label": LabelRecipe}  # type: ignore[dict-item]
_PERCENT = {"accuracy", "top5", "exact_match", "balanced_accuracy", "prevalence"}


def run_verb(verb: Literal["teach", "distill"], words: Sequence[str], config: Path | None, *, show_help: bool) -> None:
    """Carry out `preceptor teach` or `preceptor distill`."""
    if show_help:
        _print_help(verb)
        return
    recipe = make_recipe(_RUNS[verb], read_yaml(config) if config else None, words, network_of=network_of)
    result = run(recipe)
    if join_processes().is_first:
        _print_metrics(result.metrics)
        Console().print(f"Run: {result.path}", highlight=False)


def label_verb(words: Sequence[str], config: Path | None, *, show_help: bool) -> None:
    """Carry out `preceptor label`."""
    if show_help:
        _print_help("label")
        return
    made = label(make_recipe(LabelRecipe, read_yaml(config) if config else None, words))
    if not join_processes().is_first:
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("samples", f"{made.manifest.source.samples:,}")
    table.add_row("views", f"{made.manifest.views}")
    table.add_row("labelled now", f"{made.num_predicted:,} rows")
    table.add_row(
        "size", f"{made.bytes / 2**20:,.1f} MiB, {made.manifest.source.encoding.bytes_per_sample} bytes per row"
    )
    Console().print(table)
    Console().print(f"Labels: {made.path}", highlight=False)


def evaluate_verb(path: str, words: Sequence[str], *, workers: int) -> None:
    """Carry out `preceptor evaluate`."""
    data, model, weights_key, classes = read_sections("evaluate", words)
    metrics = evaluate(path, data=data, model=model, classes=classes, weights_key=weights_key, workers=workers)
    if join_processes().is_first:
        _print_metrics(metrics)


def read_sections(
    verb: str, words: Sequence[str]
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, str | None, ClassSelection]:
    """Return `data`, `model`, `weights_key` and `classes` as words set them; None for one that they do not mention.

    Raises:
        UsageError: for a word of another section, or one that is no `key=value`.
    """
    keys = [word.partition("=")[0] for word in words]
    unknown = [key for key in keys if key.partition(".")[0] not in {"data", "model", "weights_key", "classes"}]
    if unknown:
        raise UsageError(
            f"{unknown[0]}: {verb} takes data=..., data.KEY=..., model=NAME, model.KEY=..., weights_key=... and classes=... "
            "only"
        )
    words = [f"teacher.{word}" if word.startswith("classes=") else word for word in words]
    recipe = make_recipe(DistillRecipe, {"data": "none", "model": "none"}, words)
    sections = {key.partition(".")[0] for key in keys}
    data = recipe.data.model_dump() if "data" in sections else None
    model = recipe.model.model_dump() if "model" in sections else None
    return data, model, recipe.weights_key, recipe.teacher.classes


def config_verb(verb: Verb, words: Sequence[str]) -> None:
    """Carry out `preceptor config`."""
    values = {"data": "digits", **({"out": "labels/t"} if verb == "label" else {"model": "convnet_s"})}
    values |= {} if verb == "teach" else {"teacher": "runs/t"}
    recipe = make_recipe(_RECIPES[verb], values, words, network_of=network_of)
    console = Console(soft_wrap=True)
    console.print(f"# preceptor {verb} --config FILE.yaml; null means: as the data's protocol says", highlight=False)
    for line in _yaml_lines(recipe, recipe.model_dump(mode="json")):
        console.print(line, markup=False, highlight=False)


def key_called(name: str, words: Sequence[str]) -> str | None:
    """Return the setting that an option's name stands for, whole or its last part; None where the verb takes no such one.

    Args:
        name: of the option, without dashes.
        words: of the command line, the verb first.

    Example:
        >>> key_called("lr", ["distill"]), key_called("model", ["evaluate"]), key_called("seed", ["evaluate"])
        ('optim.lr', 'model', None)
    """
    verb = {"curve": "distill", "evaluate": "teach", "assess": "teach"}.get(words[0], words[0])
    verb = words[1] if verb == "config" and len(words) > 1 else verb
    recipe = next((kind for known, kind in _RECIPES.items() if known == verb), None)
    if recipe is None:
        return None
    keys = [*(key for key in SHORT_FOR if key in recipe.model_fields), *(key for key, _ in _leaves(recipe))]
    if words[0] in {"evaluate", "assess"}:
        keys = [key for key in keys if key.partition(".")[0] in {"data", "model"}]
    return next((key for key in keys if key == name), next((key for key in keys if key.endswith(f".{name}")), None))


def _print_metrics(metrics: Metrics) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in metrics.as_dict().items():
        table.add_row(f"test {name}", f"{100 * value:.2f} %" if name in _PERCENT else f"{value:.5g}")
    Console().print(table)


def _print_help(verb: Verb) -> None:
    console = Console()
    console.print(f"Usage: preceptor {verb} [--config FILE.yaml] [--debug] key=value ...\n", markup=False)
    console.print(f"{_RECIPES[verb].__doc__}\n", markup=False)
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
        markup=False,
        highlight=False,
    )


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
