"""A row of the registries: what the command line knows of an objective beyond its constructor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from preceptor.objectives.base import Objective
from preceptor.objectives.weighted import Weight

__all__ = ["Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One objective that can be asked for by name.

    Attributes:
        objective: the class; its constructor is its configuration.
        paper: short title, or what the loss is called.
        year: of publication.
        kind: what it looks at.
        weight: of the term when asked for by name alone.
        companions: other terms that come with it by name, and their weights.
        hyperparameters: of the objective, where they differ from its own defaults.
        implies: keys of the recipe outside the method that come with it, nested; the user's own win.
        needs: dotted keys of the recipe that it cannot do without, each with what to give.
    """

    objective: type[Objective]
    paper: str
    year: int
    kind: Literal["labels", "weights", "memory", "logits", "embedding", "maps", "self-supervised", "procedure"]
    weight: Weight = 1.0
    companions: Mapping[str, Weight] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    implies: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
