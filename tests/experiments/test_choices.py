"""Choices: what they set, which verb a setting belongs to, what they are called."""

from __future__ import annotations

from typing import Any

import pytest

from preceptor.errors import UsageError
from preceptor.experiments.choices import Setting, agrees, check_key, flow, labels_of, scoped, settings_of, zipped


@pytest.mark.parametrize(
    ("key", "has_teach", "expected"),
    [
        ("epochs", True, {"teach": "epochs", "distill": "epochs"}),
        ("data.root", True, {"teach": "data.root", "label": "data.root", "distill": "data.root"}),
        ("model", True, {"distill": "model"}),
        ("teacher.model", True, {"teach": "model"}),
        ("teacher.model.widths", True, {"teach": "model.widths"}),
        ("teacher.model", False, {"distill": "teacher.model"}),
        ("teacher.classes", True, {"distill": "teacher.classes"}),
        ("objective", True, {"teach": "objective"}),
        ("method.temperature", True, {"distill": "method.temperature"}),
        ("teach.optim.lr", True, {"teach": "optim.lr"}),
        ("label.dtype", True, {"label": "dtype"}),
        ("workers", True, {"teach": "workers", "label": "workers", "distill": "workers"}),
    ],
)
def test_a_key_outside_the_sections_belongs_to_the_verbs_that_have_it(
    key: str, has_teach: bool, expected: dict[str, str]
) -> None:
    own = scoped(Setting(key, 1, "fixed.x"), has_teach=has_teach)
    assert {verb: setting.key for verb, setting in own.items()} == expected


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("optimm.lr", "fixed.x: unknown key; did you mean optim?"),
        ("seed", "fixed.x: stands at the top level, as in seed: [0, 1, 2]"),
        ("distill.out", "fixed.x: stands at the top level; the cells' folders are named by the grid"),
        ("teach.method", "fixed.x: unknown key"),
        ("resume", "fixed.x: is set by the grid"),
    ],
)
def test_a_key_that_no_verb_has_is_told(key: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        scoped(Setting(key, 1, "fixed.x"), has_teach=True)
    assert str(error.value).startswith(message)


def test_the_seed_of_stored_views_may_be_set() -> None:
    check_key("seed", "label.seed", "label")


def test_a_section_becomes_its_name_and_dotted_keys() -> None:
    settings = settings_of("optim", {"lr": 0.1, "name": "sgd", "as": "fast"}, "fixed.optim")
    assert settings == (Setting("optim", "sgd", "fixed.optim"), Setting("optim.lr", 0.1, "fixed.optim.lr"))
    assert settings_of("method", "kd", "p") == (Setting("method", "kd", "p"),)
    assert settings_of("schedule.milestones", [1, 2], "p") == (Setting("schedule.milestones", [1, 2], "p"),)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["kd", "dkd"], ["kd", "dkd"]),
        ([0.1, None, True], [0.1, "null", True]),
        (["kd", {"name": "kd", "weight": 1}], ["kd", "kd weight=1"]),
        ([{"name": "kd", "as": "plain"}, {"name": "crd"}], ["plain", "crd"]),
        ([[1, 2], [3]], ["[1, 2]", "[3]"]),
        ([{"lr": 0.1}, {"lr": 0.2}], ["lr=0.1", "lr=0.2"]),
    ],
)
def test_choices_are_called_by_what_tells_them_apart(values: list[Any], labels: list[Any]) -> None:
    assert labels_of(values) == labels


def test_zipped_choices_are_called_by_their_networks_or_by_what_they_set() -> None:
    pairs: list[dict[str, Any]] = [{"teacher.model": "a", "model": "b"}, {"teacher.model": {"name": "c"}, "model": "d"}]
    assert zipped(pairs) == ["a -> b", "c -> d"]
    same = [{"teacher.model": "a", "model": "b", "epochs": n} for n in (1, 2)]
    assert zipped(same) == ["teacher.model=a model=b epochs=1", "teacher.model=a model=b epochs=2"]
    assert zipped([{"epochs": 1, "as": "short"}, {"epochs": 9}]) == ["short", "epochs=9"]


def test_a_condition_names_a_choice_by_its_label_its_value_or_its_name() -> None:
    crd = {"name": "crd", "kd.weight": 1}
    assert agrees("crd", "crd kd.weight=1", crd, ["kd", "crd kd.weight=1"])
    assert not agrees("crd", "crd kd.weight=1", crd, ["crd", "crd kd.weight=1"])
    assert agrees(crd, "crd kd.weight=1", crd, [])
    assert agrees("150", 150, 150, [150])
    assert not agrees("kd", "dkd", "dkd", ["kd", "dkd"])


@pytest.mark.parametrize(
    "value", [1e-05, 0.3, "1e-5", "true", "null", "a, b", "", None, [1, 2.5], {"a.b": "c"}, "folder:x y"]
)
def test_a_value_on_the_command_line_is_read_back_as_it_was(value: object) -> None:
    from preceptor.config.overrides import split_overrides  # noqa: PLC0415

    bare, _ = split_overrides([f"key={flow(value)}"])
    assert bare["key"] == (1e-5 if value == "1e-5" else value)  # a number, as YAML 1.2 reads it
