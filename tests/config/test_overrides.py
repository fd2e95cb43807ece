from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.config.overrides import make_recipe
from preceptor.config.sections import DistillRecipe, LabelRecipe, TeachRecipe
from preceptor.documents import read_yaml
from preceptor.errors import UsageError

NEEDED = ["data=digits", "model=convnet_s"]


def test_bare_names_and_dotted_keys_go_together_in_any_order() -> None:
    words = ["method.temperature=2", "data.root=/x", "data=cifar10", "teacher=runs/t", "model=resnet8", "method=dkd"]
    recipe = make_recipe(DistillRecipe, overrides=words)
    assert (recipe.data.name, recipe.data.hyperparameters) == ("cifar10", {"root": "/x"})
    assert (recipe.method.name, recipe.method.hyperparameters) == ("dkd", {"temperature": 2})
    assert recipe.teacher.path == "runs/t"


def test_values_are_read_as_yaml() -> None:
    recipe = make_recipe(
        TeachRecipe, overrides=[*NEEDED, "optim.lr=1e-2", "stop_at=5", "overwrite=true", "schedule.milestones=[1,2]"]
    )
    assert recipe.optim.lr == 0.01
    assert recipe.stop_at == 5
    assert recipe.overwrite is True
    assert recipe.schedule.milestones == (1.0, 2.0)


def test_words_go_over_a_file_and_a_bare_name_starts_its_section_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "data: digits\nmodel: {name: resnet8}\nmethod: {name: kd, kd: {temperature: 9}}\nteacher: t\nepochs: 3\n"
    )
    values = read_yaml(path)
    kept = make_recipe(DistillRecipe, values, ["epochs=4", "method.kd.weight=1"])
    assert (kept.epochs, kept.method.hyperparameters) == (4, {"kd": {"temperature": 9, "weight": 1}})
    assert make_recipe(DistillRecipe, values, ["method=dkd"]).method.hyperparameters == {}


@pytest.mark.parametrize("kind", [TeachRecipe, DistillRecipe])
def test_a_run_folders_configuration_is_a_configuration(kind: type[TeachRecipe | DistillRecipe]) -> None:
    recipe = make_recipe(kind, overrides=NEEDED)
    assert make_recipe(kind, {"kind": kind.kind, **recipe.model_dump(mode="json")}) == recipe


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["modl=resnet8", "data=digits"], "modl: unknown key; did you mean model?"),
        (["optim.lrr=1", *NEEDED], "optim.lrr: unknown key; did you mean lr?"),
        (["epochs=ten", *NEEDED], r"epochs: input should be a valid integer, .*, got 'ten'"),
        (["epochs=0", *NEEDED], "epochs: input should be greater than or equal to 1, got 0"),
        (["optim=lion", *NEEDED], "optim.name: input should be 'sgd', 'adamw' or 'dot', got 'lion'"),
        (["data=digits"], "model: is needed and was not given"),
        (["epochs", *NEEDED], "epochs: expected key=value"),
        (["=3", *NEEDED], "=3: expected key=value"),
        (["data.validation=1.5", *NEEDED], "data.validation: input should be less than 1, got 1.5"),
        (["stop_at=best", *NEEDED], "stop_at: input should be 'last'"),
        (["epochs={", *NEEDED], "epochs: '{' cannot be read"),
        (["epochs", "=", "3", *NEEDED], "epochs: expected key=value, without spaces"),
        (
            [*NEEDED, "objective.brier.weight={schedule:", "fade_in,", "peak:", "1.0}", "epochs=3"],
            r"objective.brier.weight: its value was cut at a space; put quotes around the word: "
            r"'objective.brier.weight=\{schedule: fade_in, peak: 1.0\}'$",
        ),
        (
            ["data.groups=[[0,", "1],", "[2]]", *NEEDED],
            r"put quotes around the word: 'data.groups=\[\[0, 1\], \[2\]\]'$",
        ),
        (
            ["objective.brier.weight=schedule:fade_in", "objective.brier.weight=peak:1.0", *NEEDED],
            r"objective.brier.weight: has 2 values in a row \(schedule:fade_in, peak:1.0\); .*: put quotes around it$",
        ),
        (
            ["data=wds:a-0.tar", "data=wds:a-1.tar", "model=mlp"],
            r"data: has 2 values in a row \(wds:a-0.tar, wds:a-1.tar\)",
        ),
        (
            ["objective.brier.weight={schedule:fade_in,peak:1.0}", *NEEDED],
            r"^objective.brier.weight.schedule:fade_in: needs a space after the colon: \{schedule: fade_in, ...\}",
        ),
        (["schedule={name:step}", *NEEDED], r"schedule.name:step: needs a space after the colon: \{name: step, ...\}"),
    ],
)
def test_each_mistake_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_recipe(TeachRecipe, overrides=words)


def test_all_bad_keys_are_named_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        make_recipe(TeachRecipe, overrides=["modl=a", "epochs=x", "data=digits"])
    assert len(str(caught.value).splitlines()) == 3


def test_one_assistant_may_stand_alone() -> None:
    words = [*NEEDED, "teacher=runs/t", "method=takd"]
    assert make_recipe(DistillRecipe, overrides=[*words, "teacher.assistants=resnet14"]).teacher.assistants == (
        "resnet14",
    )


def test_the_configuration_of_another_kind_of_run_is_refused_as_such() -> None:
    with pytest.raises(UsageError, match=r"^configuration: is that of a distill run, not of teach$"):
        make_recipe(TeachRecipe, {"kind": "distill", "data": "digits", "teacher": {"path": "t"}, "model": "mlp"})
    with pytest.raises(UsageError, match=r"^configuration: is that of a teach run$"):
        make_recipe(LabelRecipe, {"kind": "teach", "data": "digits", "model": "mlp"})


@pytest.mark.parametrize(
    ("content", "message"), [("a: [", "cannot be read"), ("- 1", "holds no keys"), (None, "no such file")]
)
def test_files_that_are_no_configuration(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_yaml(path)


@pytest.mark.parametrize(
    ("values", "words", "expected"),
    [
        ({}, ["teacher.model=mlp", "teacher.model.widths=[7]"], {"name": "mlp", "widths": [7]}),
        ({}, ["teacher.model.widths=[7]", "teacher.model=mlp"], {"name": "mlp", "widths": [7]}),
        ({"model": "mlp"}, ["teacher.model.widths=[7]"], {"name": "mlp", "widths": [7]}),
        (
            {"model": {"name": "vgg8", "old": 1}},
            ["teacher.model=mlp", "teacher.model.widths=[7]"],
            {"name": "mlp", "widths": [7]},
        ),
        ({"model": {"name": "mlp", "old": 1}}, ["teacher.model.widths=[7]"], {"name": "mlp", "old": 1, "widths": [7]}),
        ({}, ["teacher.model.name=mlp", "teacher.model.widths=[7]"], {"name": "mlp", "widths": [7]}),
        ({"model": {"name": "vgg8", "old": 1}}, ["teacher.model=mlp"], "mlp"),
    ],
)
def test_a_name_within_a_section_may_stand_beside_its_keys(
    values: dict[str, object], words: list[str], expected: object
) -> None:
    recipe = make_recipe(
        DistillRecipe, {"data": "digits", "model": "convnet_s", "teacher": {"path": "t.pth", **values}}, words
    )
    model = recipe.teacher.model
    assert (model if isinstance(model, str) or model is None else model.model_dump(exclude_none=True)) == expected
    assert recipe.teacher.path == "t.pth"


def test_a_later_word_still_wins() -> None:
    assert make_recipe(TeachRecipe, overrides=["epochs=3", *NEEDED, "epochs=4"]).epochs == 4


@pytest.mark.parametrize(
    "word",
    [
        "optim.lr=true",
        "seed=true",
        "epochs=false",
        "stop_at=true",
        "data.validation=false",
        "data.limit=true",
        "model.logits=true",
        "schedule.milestones=[1,true]",
        "averaging.start=true",
        "clip_norm=true",
    ],
)
def test_a_boolean_is_no_number(word: str) -> None:
    with pytest.raises(
        UsageError, match=rf"^{word.partition('=')[0]}: input should be a number, not true or false, got"
    ):
        make_recipe(TeachRecipe, overrides=[*NEEDED, word])


@pytest.mark.parametrize("word", ["overwrite=1", "resume=0", "overwrite=1.0", "optim.nesterov=1"])
def test_a_number_is_no_boolean(word: str) -> None:
    with pytest.raises(UsageError, match=rf"^{word.partition('=')[0]}: input should be true or false, got [01]"):
        make_recipe(TeachRecipe, overrides=[*NEEDED, word])


def test_nothing_in_a_text_is_evaluated() -> None:
    values = {"data": "digits", "model": "mlp", "out": "${oc.env:HOME}/${seed}${seed}"}
    assert make_recipe(TeachRecipe, values).out == "${oc.env:HOME}/${seed}${seed}"
