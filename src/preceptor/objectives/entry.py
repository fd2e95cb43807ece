"""An entry of the registries: what is known of an objective beyond its constructor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from preceptor.lazy import LazyImport
from preceptor.objectives.schedules import Weight

__all__ = ["Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One objective that a recipe can name.

    Attributes:
        source: where its class is; the constructor is its configuration.
        does: what it does, in one line of at most 38 characters.
        year: of publication.
        kind: what it looks at.
        weight: of its term, unless the recipe sets another.
        companions: terms added beside it, with their weights.
        hyperparameters: of the objective, where they differ from its own defaults.
        implies: keys of the recipe outside the method that come with it, nested; what the user sets wins.
        needs: dotted keys of the recipe that must be set, each with a description of the value.
        paper: its title, where the docstring at `source` is that of another method.
    """

    source: LazyImport[Any]
    does: str
    year: int
    kind: Literal["labels", "weights", "memory", "logits", "embedding", "maps", "self-supervised", "procedure"]
    weight: Weight = 1.0
    companions: Mapping[str, Weight] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    implies: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    paper: str = ""

    @property
    def objective(self) -> type[Any]:
        """The class, imported."""
        kind: type[Any] = self.source.load()
        return kind
