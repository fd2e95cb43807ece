"""A recipe resolved: everything decided once, in one frozen type, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from preceptor.config.plan import make_plan
from preceptor.config.protocols import fill
from preceptor.config.sections import AnyRecipe, InputsSection, ObjectiveSection, StudentInputs
from preceptor.config.terms import build_sum, resolve_terms, unlikely
from preceptor.data import POLICIES, Data, PlainInputs, Policy
from preceptor.errors import UsageError
from preceptor.messages import did_you_mean
from preceptor.objectives.base import Objective
from preceptor.objectives.weighted import Sum
from preceptor.signature import check_hyperparameters
from preceptor.training import Plan
from preceptor.types import Progress

__all__ = ["ResolvedRecipe", "make_policy", "resolve"]


@dataclass(frozen=True, slots=True)
class ResolvedRecipe:
    """What a run does.

    Attributes:
        stated: the recipe with nothing left open, as the run folder holds it.
        objective: what is minimised.
        policy: of the inputs.
        plan: how long and how to train.
        epochs: of the recipe, before the policy makes them longer.
        view: augmentation of the training samples.
        batch_size: rows of a batch, over all processes.
        student_inputs: what only a student learns from.
        notes: for the user, one line each.
    """

    stated: AnyRecipe
    objective: Sum
    policy: Policy
    plan: Plan
    epochs: int
    view: str
    batch_size: int
    student_inputs: StudentInputs
    notes: tuple[str, ...]


def resolve(
    recipe: AnyRecipe, data: Data, *, objective: Objective | None = None, view: str | None = None
) -> ResolvedRecipe:
    """Return a recipe with every choice made.

    Args:
        recipe: as the user stated it.
        data: whose protocol decides what the recipe leaves open.
        objective: passed from Python; replaces the recipe's terms.
        view: of stored labels; replaces the recipe's.

    Raises:
        UsageError: for anything wrong with the recipe, or between it and the data.
    """
    if view is not None:
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"view": view})})
    recipe = fill(recipe, data)
    if recipe.sharding == "teacher" and not recipe.has_teacher:
        raise UsageError(
            "sharding: teacher is the network that a student learns from, and teach has none; sharding=all"
        )
    if data.task == "multilabel" and recipe.model.logits not in {None, data.num_classes}:
        raise UsageError(f"model.logits: {recipe.model.logits} for {data.num_classes} labels; one per label")
    recipe, total = _objective(recipe, objective)
    inputs, policy = make_policy(recipe.inputs)
    recipe = recipe.model_copy(update={"inputs": inputs})
    notes = (
        *_terms_left_out(total, policy, has_teacher=recipe.has_teacher),
        *unlikely(total, has_teacher=recipe.has_teacher),
    )
    assert recipe.epochs is not None
    assert recipe.batch_size is not None
    assert recipe.data.view is not None
    plan = make_plan(recipe, recipe.epochs, policy, has_validation=len(data.validation) > 0)
    _check_weights(recipe, total, policy, plan)
    return ResolvedRecipe(
        recipe, total, policy, plan, recipe.epochs, recipe.data.view, recipe.batch_size, recipe.student_inputs, notes
    )


def make_policy(section: InputsSection) -> tuple[InputsSection, Policy]:
    """Return an input policy's section with every hyperparameter, and the policy.

    Raises:
        UsageError: for an unknown name or hyperparameter, or a wrong value.
    """
    if section.name not in POLICIES:
        raise UsageError(f"inputs: unknown name {section.name!r}{did_you_mean(section.name, POLICIES)}")
    kind = POLICIES[section.name]
    hyperparameters = check_hyperparameters(kind, section.hyperparameters, "inputs")
    try:
        return InputsSection(name=section.name, **hyperparameters), kind(**hyperparameters)
    except ValueError as error:
        raise UsageError(f"inputs.{error}") from error


def _objective(recipe: AnyRecipe, objective: Objective | None) -> tuple[AnyRecipe, Sum]:
    """Return the recipe with every hyperparameter of its terms, and the sum they make."""
    if objective is not None:
        return recipe, objective if isinstance(objective, Sum) else Sum(objective=(1.0, objective))
    terms = resolve_terms(recipe.terms, recipe.terms_key, has_teacher=recipe.has_teacher)
    section = ObjectiveSection(name=recipe.terms.name, **terms)
    return recipe.model_copy(update={recipe.terms_key: section}), build_sum(terms)


def _check_weights(recipe: AnyRecipe, objective: Sum, policy: Policy, plan: Plan) -> None:
    """Check that some term has a weight at every moment of the run, on every kind of batch.

    Raises:
        UsageError: when there is nothing to minimise.
    """
    left_out = _idle(objective, has_teacher=recipe.has_teacher) if policy.replaces_samples else []
    names = [name for name in objective.running if name not in left_out]
    for epoch in range(1, plan.last_epoch + 1):
        for tenth in range(10):
            weights = objective.weights(Progress(epoch, plan.epochs, (epoch - 1 + tenth / 10) / plan.epochs))
            if names and not any(weights[name] for name in names):
                where, other = recipe.terms_key, "kd" if recipe.has_teacher and left_out else "cross_entropy"
                raise UsageError(
                    f"{where}: the weight of {', '.join(names)} is 0 in epoch {epoch} of {plan.epochs}, where nothing else is "
                    f"minimised; add a term, e.g. {where}.{other}.weight=1, or choose another schedule"
                )


def _terms_left_out(objective: Sum, policy: Policy, *, has_teacher: bool) -> tuple[str, ...]:
    """Return a line for the user on the terms that cannot be applied to inputs beyond the samples, if there are any.

    Raises:
        UsageError: when no term can be applied to a batch of such inputs.
    """
    if isinstance(policy, PlainInputs):
        return ()
    idle = _idle(objective, has_teacher=has_teacher)
    why = "which show no sample of the training split" + (" and have no label" if has_teacher else "")
    if policy.replaces_samples and len(idle) == len(objective.running):
        raise UsageError(
            f"inputs: none of the terms {', '.join(idle)} can be applied to inputs beyond the samples, {why}"
            + ("; add one, e.g. method.kd.weight=1" if has_teacher else "")
        )
    return (f"inputs: {', '.join(idle)} cannot be applied to inputs beyond the samples, {why}",) if idle else ()


def _idle(objective: Sum, *, has_teacher: bool) -> list[str]:
    """Return the terms that cannot be applied to inputs beyond the samples."""
    running = [(name, term) for name, term in objective.named_terms() if name in objective.running]
    return [name for name, term in running if term.needs_samples or (term.needs_labels and has_teacher)]
