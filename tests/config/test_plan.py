"""From a recipe to the plan of the training loop."""

from __future__ import annotations

from typing import Any

import pytest

from preceptor.config.plan import make_plan
from preceptor.config.sections import TeachRecipe
from preceptor.data import PlainInputs
from preceptor.data.augment.kd_plus import KDPlus
from preceptor.errors import UsageError
from preceptor.training import Plan


def plan(epochs: int = 10, has_validation: bool = True, **keys: Any) -> Plan:
    recipe = TeachRecipe.model_validate({"data": {"name": "digits"}, "model": {"name": "mlp"}, **keys})
    return make_plan(recipe, epochs, PlainInputs(), has_validation=has_validation)


def test_training_ends_early_with_the_schedule_cut_or_squeezed() -> None:
    assert (plan().epochs, plan().last_epoch) == (10, 10)
    cut = plan(stop_at=4)
    squeezed = plan(stop_at=4, stop_mode="rescaled_schedule")
    assert (cut.epochs, cut.last_epoch) == (10, 4)
    assert (squeezed.epochs, squeezed.last_epoch) == (4, 4)


def test_settings_go_into_the_plan() -> None:
    made = plan(stop_at="best_val_nll", keep_every=2, clip_norm=1.0, accumulate=3, optim={"lr": 0.5})
    assert made.selection.rule == "best_val_nll"
    assert (made.keep_every, made.clip_norm, made.accumulate, made.learning_rate.peak) == (2, 1.0, 3, 0.5)


def test_a_policy_that_lengthens_the_run_moves_the_milestones() -> None:
    recipe = TeachRecipe.model_validate(
        {"data": {"name": "digits"}, "model": {"name": "mlp"}, "schedule": {"name": "step", "milestones": [0.5, 6]}}
    )
    policy = KDPlus(real_share=0.5, match="real_batches")
    made = make_plan(recipe, 10, policy, has_validation=True)
    assert made.epochs == policy.epochs(10) == 20
    assert made.learning_rate.schedule.milestones == (0.5, 12.0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"stop_at": 11}, r"^stop_at: epoch 11 is not in 1\.\.10$"),
        ({"stop_at": 0}, r"^stop_at: epoch 0 is not in 1\.\.10$"),
        ({"stop_at": "best_val_nll", "has_validation": False}, "needs a validation split, and data.validation is 0"),
        ({"stop_at": "best_val_nll", "averaging": {"name": "swa"}}, "cannot be used with averaging=swa"),
        ({"averaging": {"name": "ema", "start": 11}}, r"^averaging\.start: epoch 11 comes after the last one, 10$"),
        ({"averaging": {"name": "swa", "start": 6}, "stop_at": 5}, "epoch 6 comes after the last one, 5"),
    ],
)
def test_ends_that_do_not_fit_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(**keys)
