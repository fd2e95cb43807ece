from __future__ import annotations

from collections.abc import Mapping

import pytest

from preceptor.errors import RunError
from preceptor.objectives.schedules import WarmUp
from preceptor.objectives.teacher import Brier, CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.runner.guard import Evaluate, guarded

MAXIMISES = Sum(cross_entropy=(1.0, CrossEntropy()), brier=(-2.0, Brier()))


def measuring(*nlls: float) -> Evaluate:
    values = iter(nlls)

    def evaluate() -> Mapping[str, float]:
        return {"nll": next(values)}

    return evaluate


def test_a_run_that_maximises_nothing_is_not_measured_before_it() -> None:
    evaluate = measuring(1.0)
    assert guarded(evaluate, Sum(cross_entropy=(1.0, CrossEntropy()))) is evaluate
    assert evaluate() == {"nll": 1.0}


def test_without_validation_there_is_nothing_to_watch() -> None:
    def evaluate() -> Mapping[str, float]:
        return {}

    assert guarded(evaluate, MAXIMISES) is evaluate


@pytest.mark.parametrize(
    ("start", "stays", "diverges"),
    [(2.0, 4.0, 4.1), (0.1, 0.6, 0.7)],  # twice as much; and at least half a nat more
)
def test_a_run_that_diverges_is_stopped(start: float, stays: float, diverges: float) -> None:
    watch = guarded(measuring(start, stays, diverges), MAXIMISES)
    assert watch() == {"nll": stays}
    with pytest.raises(RunError, match=r"NLL has risen from .* to .* nats: the run diverges, .*\(brier, weight -2\)"):
        watch()


def test_a_schedule_counts_by_its_peak() -> None:
    objective = Sum(cross_entropy=(1.0, CrossEntropy()), brier=(WarmUp(-1.0, 2), Brier()))
    with pytest.raises(RunError, match="brier, weight -1"):
        guarded(measuring(1.0, 9.0), objective)()
