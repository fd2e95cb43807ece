"""What registry entries promise: hyperparameters that exist, companions beside them, frozen values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from preceptor.config.procedures import PROCEDURES
from preceptor.objectives.distill import METHODS
from preceptor.objectives.entry import Entry
from preceptor.objectives.teacher import OBJECTIVES
from preceptor.signature import default_hyperparameters

ALL = {**OBJECTIVES, **METHODS, **PROCEDURES}


@pytest.mark.parametrize("key", ALL)
def test_an_entry_changes_defaults_of_hyperparameters_that_exist(key: str) -> None:
    entry = ALL[key]
    assert set(entry.hyperparameters) <= set(default_hyperparameters(entry.objective))
    assert key not in entry.companions


def test_an_entry_alone_is_a_term_of_weight_1_with_the_objectives_own_defaults() -> None:
    entry = Entry(METHODS["kd"].source, "title", 2015, "logits")
    assert entry.weight == 1.0
    assert not any((entry.companions, entry.hyperparameters, entry.implies, entry.needs))
    with pytest.raises(FrozenInstanceError):
        entry.weight = 2.0  # type: ignore[misc]
