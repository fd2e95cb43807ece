"""Which run has the state of a teacher: one run serves the last epoch, numbered epochs and one rule of validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.resolve import make_policy
from preceptor.config.sections import AnyRecipe, TeachRecipe
from preceptor.experiments.recipes import digest

__all__ = ["Serving", "Stop", "run_length", "run_of", "serve"]

Stop = str | int
_RULES = ("best_val_nll", "best_val_accuracy", "best_val_brier")


@dataclass(frozen=True, slots=True)
class Serving:
    """A teacher's run, and where in it a state is.

    Attributes:
        id: of the run's cell.
        kind: of its cell.
        stop_at: of the run.
        epoch: whose weights it keeps for that state; None: the state is the run's result.
    """

    id: str
    kind: str
    stop_at: Stop
    epoch: int | None


def serve(recipe: TeachRecipe, stops: Sequence[Stop], cells: Path) -> Serving:
    """Return the run that has the state at which a recipe stops.

    Args:
        recipe: of the teacher.
        stops: every `stop_at` that the grid wants of this teacher.
        cells: folder of cells, where a run that another grid has made may serve too.
    """
    stop, epoch = _made_before(recipe, cells) or _chosen(recipe, stops)
    kind = digest(recipe, without=("seed", "stop_at", "keep_every"))
    return Serving(_id(recipe, stop), kind, stop, epoch)


def run_of(recipe: TeachRecipe) -> str:
    """Return digits that the recipes share which differ in `stop_at` alone."""
    return digest(recipe, without=("stop_at",))


def run_length(recipe: AnyRecipe) -> int | None:
    """Return how many epochs a run has, where its recipe says so; else its data's protocol does."""
    if recipe.epochs is None:
        return None
    return make_policy(recipe.inputs)[1].epochs(recipe.epochs)


def _chosen(recipe: TeachRecipe, stops: Sequence[Stop]) -> tuple[Stop, int | None]:
    rules = [each for each in stops if isinstance(each, str) and each != "last"]
    numbers = [each for each in stops if isinstance(each, int)]
    run = rules[0] if rules else "last" if "last" in stops else max(numbers)
    epoch = _epoch(recipe)
    if epoch is None or recipe.stop_at == run or (recipe.keep_every and epoch % recipe.keep_every):
        return recipe.stop_at, None
    return run, epoch


def _made_before(recipe: TeachRecipe, cells: Path) -> tuple[Stop, int] | None:
    """Return the rule of a finished run under another rule that has kept this state, and the epoch; None: there is none."""
    epoch = _epoch(recipe)
    if epoch is None or RunFolder(cells / _id(recipe, recipe.stop_at)).is_finished:
        return None
    for rule in ("last", *_RULES):
        folder = RunFolder(cells / _id(recipe, rule))
        if rule != recipe.stop_at and folder.is_finished and epoch in folder.kept_epochs():
            return rule, epoch
    return None


def _epoch(recipe: TeachRecipe) -> int | None:
    """Return the number of the epoch at which a recipe stops, if a longer run passes through the same state."""
    if recipe.averaging.name != "none" or recipe.stop_mode != "truncate":
        return None
    return run_length(recipe) if recipe.stop_at == "last" else recipe.stop_epoch


def _id(recipe: TeachRecipe, stop: Stop) -> str:
    return f"teach-{digest(recipe.model_copy(update={'stop_at': stop}))}"
