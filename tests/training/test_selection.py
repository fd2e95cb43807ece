from __future__ import annotations

import pytest

from preceptor.training.selection import Selection, StopRule
from preceptor.training.state import Best

EPOCHS = [
    {"accuracy": 0.5, "nll": 1.0, "brier": 0.6},
    {"accuracy": 0.7, "nll": 0.8, "brier": 0.4},
    {"accuracy": 0.7, "nll": 0.7, "brier": 0.45},
    {"accuracy": 0.6, "nll": 0.9, "brier": 0.5},
]


@pytest.mark.parametrize(("rule", "epoch"), [("best_val_accuracy", 2), ("best_val_nll", 3), ("best_val_brier", 2)])
def test_the_lowest_score_wins_and_ties_stay_with_the_earlier_epoch(rule: StopRule, epoch: int) -> None:
    selection, best = Selection(rule), Best()
    for number, validation in enumerate(EPOCHS, start=1):
        score = selection.score(validation)
        assert score is not None
        if score < best.score:
            best = Best(score, number)
    assert best.epoch == epoch


def test_last_scores_nothing() -> None:
    assert Selection("last").score(EPOCHS[0]) is None
