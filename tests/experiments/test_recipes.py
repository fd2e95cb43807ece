"""Recipes of cells, and digests that two recipes share if they do the same."""

from __future__ import annotations

import pytest

from preceptor.errors import UsageError
from preceptor.experiments.choices import Setting
from preceptor.experiments.recipes import digest, merged, recipe_of, words_of

TEACH = ("data=digits", "model=convnet_s")


def of(*words: str) -> str:
    """Return the digest of a teacher's recipe."""
    return digest(recipe_of("teach", (*TEACH, *words)))


@pytest.mark.parametrize(
    ("words", "others"),
    [
        ((), ("objective=cross_entropy",)),
        ((), ("seed=0",)),
        (("optim.lr=0.1",), ("optim.lr=1e-1",)),
        (("objective=soteacher",), ("objective=soteacher", "objective.lipschitz.weight=1e-5")),
        (("objective.brier.weight=1",), ("objective=brier",)),
        ((), ("inputs=real",)),
        ((), ("device=cpu", "workers=2", "checkpoint_every_steps=5", "sharding=all", "track=mlflow", "out=x")),
        (
            ("preset=soteacher-protocol",),
            (
                *("objective=soteacher", "epochs=240", "batch_size=64", "optim=sgd", "optim.lr=0.05", "schedule=step"),
                *("optim.momentum=0.9", "optim.nesterov=false", "optim.weight_decay=5e-4", "schedule.gamma=0.1"),
                "schedule.milestones=[0.625, 0.75, 0.875]",
            ),
        ),
    ],
)
def test_the_same_written_in_two_ways_has_one_digest(words: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert of(*words) == of(*others)


@pytest.mark.parametrize(
    "word",
    [
        *(
            "seed=1",
            "epochs=3",
            "objective=brier",
            "optim.lr=0.05",
            "optim=adamw",
            "data.limit=9",
            "stop_at=best_val_nll",
        ),
        *("inputs=mixup", "model.logits=10", "precision=fp32", "engine=plain", "schedule=cosine", "keep_every=2"),
    ],
)
def test_another_run_has_another_digest(word: str) -> None:
    assert of(word) != of()


def test_a_key_at_its_default_and_one_left_to_the_data_differ() -> None:
    assert of("optim.lr=0.05") != of()  # digits are trained with 0.1


def test_where_data_are_does_not_count() -> None:
    here, there = (
        digest(recipe_of("teach", ("data=cifar100", f"data.root={root}", "model=resnet8"))) for root in ("/a", "/b")
    )
    assert here == there


def test_a_teacher_is_known_by_what_it_is_not_by_its_folder() -> None:
    recipes = [recipe_of("distill", (*TEACH, f"teacher={path}"), "mlp") for path in ("a", "b")]
    assert len({digest(recipe) for recipe in recipes}) == 2
    assert len({digest(recipe, teacher="123") for recipe in recipes}) == 1


def test_presets_know_the_network_of_a_teacher_that_is_not_there_yet() -> None:
    words = ("data=cifar100", "data.root=x", "preset=crd-protocol", "model=resnet8x4", "method=dkd", "teacher=later")
    recipe = recipe_of("distill", words, "resnet32x4")
    assert recipe.method.hyperparameters["nontarget_weight"] == 8.0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data=digit", "model=mlp"), "data: unknown name 'digit'; did you mean digits?"),
        (("data=digits", "data.sise=3", "model=mlp"), "data.sise: unknown key"),
        (("data=cifar100", "model=mlp"), "data.root: is needed and was not given"),
        (("data=digits", "model=mpl"), "model: unknown name 'mpl'; did you mean mlp?"),
        (("data=digits", "model=mlp", "model.width=3"), "model.width: unknown key; did you mean widths?"),
        (("data=digits", "model=:x"), "model: ':x' names no network"),
        (("data=digits", "model=mlp", "objective=bier"), "objective: unknown name 'bier'; did you mean brier or"),
        (("data=digits", "model=mlp", "inputs=mixupp"), "inputs: unknown name 'mixupp'; did you mean mixup or"),
    ],
)
def test_names_are_checked_before_anything_runs(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as error:
        recipe_of("teach", words)
    assert str(error.value).startswith(message)


def test_a_later_group_of_settings_wins_and_a_bare_section_starts_anew() -> None:
    def settings(**values: object) -> list[Setting]:
        return [Setting(key.replace("__", "."), value, key) for key, value in values.items()]

    first = settings(data__root="r", data="digits", optim="sgd", optim__lr=0.1, epochs=3)
    made = merged(first, settings(optim="adamw", epochs=4), settings(optim__lr=0.3))
    assert words_of(made) == ("data.root=r", "data=digits", "optim=adamw", "epochs=4", "optim.lr=0.3")


def test_a_digest_does_not_change_with_what_later_versions_add() -> None:
    """The digits name folders that stand on users' disks: where this fails, a new default has renamed them."""
    recipe = recipe_of("distill", (*TEACH, "teacher=t", "method=kd", "inputs=kd_plus"), teacher="convnet_s")
    assert digest(recipe, teacher="t") == "ddb159c15cf3"


def test_what_is_not_trusted_is_not_imported() -> None:
    """`none_of_own` does not exist: another message would say so."""
    for verb, word in (("teach", "objective=none_of_own:Mine"), ("distill", "method.own.name=none_of_own:Mine")):
        words = ("data=digits", "model=mlp", word, *(["teacher=t"] if verb == "distill" else []))
        for trusted in (frozenset(), frozenset({"none_of_own"})):
            with pytest.raises(
                UsageError, match=r"names none_of_own:Mine, .* if you trust it, add --trust none_of_own:Mine$"
            ):
                recipe_of(verb, words, None, trusted)  # type: ignore[arg-type]
        for trusting in (frozenset({"none_of_own:Mine"}), None):
            with pytest.raises(UsageError, match="cannot import none_of_own"):
                recipe_of(verb, words, None, trusting)  # type: ignore[arg-type]
