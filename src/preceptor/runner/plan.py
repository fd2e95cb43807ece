"""How long and how a recipe trains: its sections turned into what the training loop takes."""

from __future__ import annotations

from preceptor.config.protocols import resolved
from preceptor.config.sections import OptimSection, Recipe
from preceptor.data import Policy
from preceptor.errors import UsageError
from preceptor.training import Averaging, LearningRate, OptimizerSettings, Plan, Selection

__all__ = ["make_plan", "make_settings"]


def make_plan(recipe: Recipe, policy: Policy, *, has_validation: bool) -> Plan:
    """Return the plan of a recipe.

    Args:
        recipe: resolved.
        policy: may make epochs longer.
        has_validation: whether there is a split to choose an epoch on.

    Raises:
        UsageError: for an end that does not fit the length, or a choice that cannot be made.
    """
    epochs = last = policy.epochs(resolved(recipe.epochs, "epochs"))
    selection = Selection()
    if isinstance(recipe.stop_at, int):
        last = recipe.stop_at
        if not 1 <= last <= epochs:
            raise UsageError(f"stop_at: epoch {last} is not in 1..{epochs}")
        epochs = last if recipe.stop_mode == "rescaled_schedule" else epochs
    elif recipe.stop_at != "last":
        selection = Selection(recipe.stop_at)
        if not has_validation:
            raise UsageError(f"stop_at: {recipe.stop_at} needs a validation split, and data.validation is 0")
        if recipe.averaging.name != "none":
            raise UsageError(
                f"stop_at: {recipe.stop_at} cannot be used with averaging={recipe.averaging.name}, whose result is an "
                "average, not one epoch's network"
            )
    averaging = Averaging(recipe.averaging.name, recipe.averaging.start, recipe.averaging.decay)
    if averaging.name != "none" and averaging.first_epoch(epochs) > last:
        raise UsageError(f"averaging.start: epoch {averaging.first_epoch(epochs)} comes after the last one, {last}")
    schedule = recipe.schedule
    return Plan(
        epochs=epochs,
        last_epoch=last,
        learning_rate=LearningRate(
            resolved(recipe.optim.lr, "optim.lr"),
            resolved(schedule.name, "schedule.name"),
            tuple(share if share < 1 else policy.epochs(share) for share in schedule.milestones),
            schedule.gamma,
            schedule.warmup,
        ),
        selection=selection,
        averaging=averaging,
        checkpoint_every_steps=recipe.checkpoint_every_steps,
        keep_every=recipe.keep_every,
        clip_norm=recipe.clip_norm,
        accumulate=recipe.accumulate,
    )


def make_settings(optim: OptimSection) -> OptimizerSettings:
    """Return the settings of a resolved section's optimiser."""
    return OptimizerSettings(
        name=resolved(optim.name, "optim.name"),
        lr=resolved(optim.lr, "optim.lr"),
        weight_decay=resolved(optim.weight_decay, "optim.weight_decay"),
        momentum=optim.momentum,
        nesterov=optim.nesterov,
        delta=optim.delta,
        decay_norms_and_biases=optim.decay_norms_and_biases,
    )
