"""`PKG.MODULE:CLASS`: an objective of the user's own; its constructor is its configuration, as that of every objective."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from preceptor.errors import UsageError
from preceptor.messages import first_few
from preceptor.objectives.base import Objective
from preceptor.own_code import find_object

__all__ = ["own_objective", "reads_features"]

_TAKEN = ("name", "weight")  # keys of a term that are no hyperparameters


def own_objective(place: str, where: str) -> type[Objective]:
    """Return the class that a place names.

    Args:
        place: dotted module path, colon, name of the class.
        where: key of the configuration, for messages.

    Raises:
        UsageError: when there is none, or it is no objective that a configuration can make.
    """
    kind = find_object(place, where, is_wanted=_is_objective)
    if not _is_objective(kind):
        what = f"the class {kind.__name__}" if isinstance(kind, type) else f"a {type(kind).__name__}"
        raise UsageError(f"{where}: {place} is {what}, expected a subclass of preceptor.objectives.base.Objective")
    if kind.__abstractmethods__:
        raise UsageError(f"{where}: {place} does not define {first_few(sorted(kind.__abstractmethods__))}")
    for name in _TAKEN:
        if name in inspect.signature(kind).parameters:
            raise UsageError(f"{where}: {place} has a hyperparameter {name!r}, which is a key of every term; rename it")
    try:
        get_type_hints(kind.__init__)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise UsageError(f"{where}: the types of {place}'s constructor cannot be read: {error}") from error
    checked: type[Objective] = kind
    return checked


def reads_features(objective: Objective) -> bool:
    """Return whether an objective may look at more of a teacher than its logits: it taps features or wraps the student."""
    kind = type(objective)
    return kind.taps is not Objective.taps or kind.wrap_student is not Objective.wrap_student


def _is_objective(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Objective)
