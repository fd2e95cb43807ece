"""Which epoch's weights become the result: the last one, a chosen one, or the best on validation.

Source: early-stopped teachers, Cho & Hariharan, "On the Efficacy of Knowledge Distillation" (ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Selection", "StopRule"]

StopRule = Literal["last", "best_val_accuracy", "best_val_nll", "best_val_brier"]


@dataclass(frozen=True, slots=True)
class Selection:
    """A rule that scores epochs; the lowest score wins and ties stay with the earlier epoch.

    Examples:
        >>> Selection("best_val_accuracy").score({"accuracy": 0.75})
        -0.75
        >>> Selection("last").score({"accuracy": 0.75}) is None
        True
    """

    rule: StopRule = "last"

    def score(self, validation: Mapping[str, float]) -> float | None:
        """Return the epoch's score, or None under the rule "last", which compares nothing."""
        scores = {
            "best_val_accuracy": lambda: -validation["accuracy"],
            "best_val_nll": lambda: validation["nll"],
            "best_val_brier": lambda: validation["brier"],
        }
        return scores[self.rule]() if self.rule in scores else None
