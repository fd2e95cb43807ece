"""From resolved terms to the objective of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from preceptor.config.terms import TERMS, make_weight, objective_of
from preceptor.config.trust import is_own_class
from preceptor.errors import UsageError
from preceptor.messages import first_line
from preceptor.objectives.base import Objective
from preceptor.objectives.own import reads_features
from preceptor.objectives.schedules import Schedule, Weight
from preceptor.objectives.weighted import Sum

__all__ = ["build_sum", "reads_logits_only", "unlikely"]

# what a constructor of the user's own may raise
_FAILURES = (RuntimeError, TypeError, IndexError, KeyError, AssertionError, AttributeError, NameError)


def build_sum(terms: Mapping[str, Mapping[str, Any]]) -> Sum:
    """Return the objective that resolved terms describe.

    A term with the constant weight 0 is left out, unless it has a stage of its own before the run.
    """
    built: dict[str, tuple[Weight, Objective]] = {}
    for name, settings in terms.items():
        weight = make_weight(settings["weight"], name)
        hyperparameters = {key: value for key, value in settings.items() if key not in {"name", "weight"}}
        try:
            objective = objective_of(settings["name"], name)(**hyperparameters)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from error
        except _FAILURES as error:
            if not is_own_class(settings["name"]):
                raise
            raise UsageError(
                f"{name}: {settings['name']} failed: {type(error).__name__}: {first_line(error)}"
            ) from error
        if weight != 0.0 or hyperparameters.get("stage_epochs", 0):
            built[name] = (weight, objective)
        elif "stage_epochs" in hyperparameters:
            raise UsageError(f"{name}: with weight 0 and stage_epochs 0 nothing is left of it; give it a weight")
    if all(weight == 0.0 for weight, _ in built.values()):
        raise UsageError(f"every term has weight 0: {', '.join(terms)}")
    return Sum(**built)


def reads_logits_only(terms: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether resolved terms take nothing from a teacher but its logits for the samples, so that stored labels serve.

    Examples:
        >>> reads_logits_only({"kd": {"name": "kd", "weight": 1.0}}), reads_logits_only({"crd": {"name": "crd", "weight": 1.0}})
        (True, False)
    """
    looks_at = {TERMS[str(each["name"])].kind for each in terms.values() if not is_own_class(each["name"])}
    if looks_at & {"embedding", "maps", "self-supervised"}:
        return False
    objective = build_sum(terms)
    own = [term for name, term in objective.named_terms() if is_own_class(terms[name]["name"])]
    return not objective.views() and not any(map(reads_features, own))


def unlikely(objective: Sum, *, has_teacher: bool) -> tuple[str, ...]:
    """Return a warning for each setting that is hardly intended: a teacher that no term reads, a loss that is maximised.

    Args:
        objective: of the run.
        has_teacher: whether the run has one.
    """
    lines = []
    if has_teacher and not any(term.uses_teacher for _, term in objective.named_terms()):
        lines.append(
            f"warning: no term looks at the teacher ({', '.join(objective.weight_of)}): labels alone are learnt"
        )
    for name, term in objective.named_terms():
        weight = objective.weight_of[name]
        peak = weight.peak if isinstance(weight, Schedule) else weight
        is_intended = any(entry.source.is_class_of(term) and _is_below(entry.weight) for entry in TERMS.values())
        if peak < 0 and not is_intended:
            lines.append(f"warning: term {name} has weight {peak:g}: it is made as large as can be, not small")
    return tuple(lines)


def _is_below(weight: Weight) -> bool:
    return isinstance(weight, float) and weight < 0
