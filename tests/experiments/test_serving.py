"""One run serves several states of a teacher."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.config.sections import TeachRecipe
from preceptor.experiments.recipes import recipe_of
from preceptor.experiments.serving import run_length, run_of, serve

WORDS = ("data=digits", "model=mlp")
EVERY = ("last", 3, "best_val_nll", "best_val_accuracy")


def recipe(*words: str) -> TeachRecipe:
    """Return a teacher's recipe of six epochs."""
    made = recipe_of("teach", (*WORDS, "epochs=6", *words))
    assert isinstance(made, TeachRecipe)
    return made


@pytest.mark.parametrize(
    ("stop", "stops", "expected"),
    [
        ("last", ["last"], ("last", None)),
        (3, [3], (3, None)),
        (3, ["last", 3], ("last", 3)),
        (2, [2, 5], (5, 2)),
        ("last", EVERY, ("best_val_nll", 6)),
        (3, EVERY, ("best_val_nll", 3)),
        ("best_val_nll", EVERY, ("best_val_nll", None)),
        ("best_val_accuracy", EVERY, ("best_val_accuracy", None)),
    ],
)
def test_a_run_by_a_rule_of_validation_has_the_other_states_among_its_epochs(
    tmp_path: Path, stop: str | int, stops: list[str | int], expected: tuple[str | int, int | None]
) -> None:
    serving = serve(recipe(f"stop_at={stop}"), stops, tmp_path)
    assert (serving.stop_at, serving.epoch) == expected


@pytest.mark.parametrize(
    "words", [("averaging=ema",), ("stop_mode=rescaled_schedule",), ("keep_every=4",)], ids=lambda words: words[0]
)
def test_where_the_states_are_not_epochs_of_one_run_each_has_its_own(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert serve(recipe("stop_at=3", *words), ["last", 3], tmp_path).epoch is None


def test_a_length_that_the_data_decide_is_unknown(tmp_path: Path) -> None:
    made = recipe_of("teach", WORDS)
    assert isinstance(made, TeachRecipe)
    assert run_length(made) is None
    assert serve(made, ["last", "best_val_nll"], tmp_path).epoch is None
    assert run_length(recipe()) == 6
    longer = recipe_of(
        "teach", (*WORDS, "epochs=6", "inputs=kd_plus", "inputs.match=real_batches", "inputs.real_share=0.5")
    )
    assert isinstance(longer, TeachRecipe)
    assert run_length(longer) == 12


def test_recipes_that_differ_in_their_end_alone_are_one_run() -> None:
    assert run_of(recipe("stop_at=3")) == run_of(recipe("stop_at=best_val_nll")) != run_of(recipe("seed=1"))


def test_a_finished_run_of_another_grid_that_has_kept_the_state_serves_it(tmp_path: Path) -> None:
    before = serve(recipe("stop_at=best_val_nll"), ["best_val_nll"], tmp_path)
    folder = tmp_path / before.id
    (folder / "checkpoint").mkdir(parents=True)
    for name in ("config.yaml", "result.json"):
        (folder / name).touch()
    assert serve(recipe(), ["last"], tmp_path).id != before.id
    (folder / "checkpoint" / "epoch_0006.safetensors").touch()
    serving = serve(recipe(), ["last"], tmp_path)
    assert (serving.id, serving.stop_at, serving.epoch) == (before.id, "best_val_nll", 6)
