"""From a recipe to the plan of the training loop: how long and how to train."""

from __future__ import annotations

from preceptor.config.sections import AnyRecipe
from preceptor.data import Policy
from preceptor.errors import UsageError
from preceptor.training import LearningRate, Plan, Selection

__all__ = ["make_plan"]


def make_plan(recipe: AnyRecipe, epochs: int, policy: Policy, *, has_validation: bool) -> Plan:
    """Return the plan of a recipe.

    Args:
        recipe: with no key left open.
        epochs: of the recipe.
        policy: may make epochs longer.
        has_validation: whether there is a split to choose an epoch on.

    Raises:
        UsageError: for an end that does not fit the length, or a selection that is impossible.
    """
    epochs = last = policy.epochs(epochs)
    stop_at, selection, averaging = recipe.stop_at, Selection(), recipe.averaging
    if isinstance(stop_at, int):
        last = stop_at
        if not 1 <= last <= epochs:
            raise UsageError(f"stop_at: epoch {last} is not in 1..{epochs}")
        epochs = last if recipe.stop_mode == "rescaled_schedule" else epochs
    elif stop_at != "last":
        selection = Selection(stop_at)
        if not has_validation:
            raise UsageError(f"stop_at: {stop_at} needs a validation split, and data.validation is 0")
        if averaging.name != "none":
            raise UsageError(
                f"stop_at: {stop_at} cannot be used with averaging={averaging.name}, whose result is an "
                "average, not one epoch's network"
            )
    if averaging.name != "none" and averaging.first_epoch(epochs) > last:
        raise UsageError(f"averaging.start: epoch {averaging.first_epoch(epochs)} comes after the last one, {last}")
    milestones = tuple(epoch if epoch < 1 else policy.epochs(epoch) for epoch in recipe.schedule.milestones)
    return Plan(
        epochs=epochs,
        last_epoch=last,
        learning_rate=LearningRate(recipe.optim.lr, recipe.schedule.model_copy(update={"milestones": milestones})),
        selection=selection,
        averaging=averaging,
        checkpoint_every_steps=recipe.checkpoint_every_steps,
        keep_every=recipe.keep_every,
        clip_norm=recipe.clip_norm,
        accumulate=recipe.accumulate,
    )
