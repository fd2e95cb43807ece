from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from preceptor.config.objective import build_sum
from preceptor.config.sections import ObjectiveSection
from preceptor.config.terms import name_of, objective_of, resolve_terms, source_of
from preceptor.errors import UsageError
from preceptor.objectives.distill import AT, KD
from preceptor.objectives.schedules import Cosine
from preceptor.objectives.teacher import Lipschitz
from preceptor.types import Progress


def resolve(*, has_teacher: bool = True, **section: Any) -> dict[str, dict[str, Any]]:
    return resolve_terms(ObjectiveSection(**section), "method", has_teacher=has_teacher)


def test_a_method_comes_with_its_companions_and_knobs() -> None:
    terms = resolve(name="kd", temperature=2)
    assert [*terms] == ["cross_entropy", "kd"]
    assert terms["cross_entropy"] == {"name": "cross_entropy", "weight": 0.1, "class_weights": None}
    assert (terms["kd"]["weight"], terms["kd"]["temperature"], terms["kd"]["divergence"]) == (0.9, 2.0, "kl")


def test_terms_can_be_weighed_added_and_repeated() -> None:
    hot = {"name": "kd", "temperature": 8, "weight": 0.5}
    terms = resolve(name="kd", weight=1, cross_entropy=0, at={"weight": 500}, hot=hot)
    assert {name: term["weight"] for name, term in terms.items()} == {
        "cross_entropy": 0.0,
        "kd": 1.0,
        "at": 500.0,
        "hot": 0.5,
    }
    objective = build_sum(terms)
    kinds = dict(objective.named_terms())
    assert list(kinds) == ["kd", "at", "hot"]  # a weight of plainly 0 is left out
    assert isinstance(kinds["at"], AT)
    assert isinstance(kinds["hot"], KD)
    assert kinds["hot"].temperature == 8


def test_soteacher_is_a_sum_whose_terms_have_their_own_keys() -> None:
    terms = resolve(name="soteacher", lipschitz={"conv_norm": "spectral", "weight": 0.011}, has_teacher=False)
    assert list(terms) == ["cross_entropy", "lipschitz", "consistency"]
    lipschitz = dict(build_sum(terms).named_terms())["lipschitz"]
    assert isinstance(lipschitz, Lipschitz)
    assert lipschitz.conv_norm == "spectral"
    assert terms["consistency"]["weight"] == {"schedule": "linear", "peak": 1.0}


def test_weights_are_numbers_or_schedules() -> None:
    terms = resolve(brier={"weight": {"schedule": "cosine", "peak": 2.0}}, cross_entropy=1, has_teacher=False)
    objective = build_sum(terms)
    assert objective.weight_of["brier"] == Cosine(2.0)
    assert objective.weights(Progress(10, 10, 0.9)) == {"brier": 2.0, "cross_entropy": 1.0}


def test_what_was_resolved_resolves_to_itself() -> None:
    terms = resolve(name="dkd", nontarget_weight=6)
    section: dict[str, Any] = {"name": "dkd", **terms}
    assert resolve(**section) == terms


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "kdd"}, "method: unknown name 'kdd'; did you mean kd or kdsvd or skd"),
        ({"name": "kd", "temprature": 2}, "method.temprature: unknown key; did you mean temperature"),
        ({"name": "kd", "temperature": "hot"}, "method.kd.temperature: input should be a valid number"),
        ({"name": "kd", "at": {"powr": 2}}, "method.at.powr: unknown key; did you mean power"),
        ({"name": "kd", "weight": "much"}, "method.kd.weight: expected a number or a schedule, got 'much'"),
        (
            {"name": "kd", "weight": {"schedule": "ramp"}},
            "method.kd.weight.schedule: unknown 'ramp'; ",
        ),
        ({"name": "kd", "weight": {"schedule": "linear", "top": 2}}, "method.kd.weight.top: unknown key"),
        ({"name": "soteacher", "weight": 2}, "method.weight: unknown key"),
        ({"name": "kd", "x": {"name": "nothing"}}, "method.x.name: unknown name 'nothing'"),
        ({}, "method: names no objective and no term"),
    ],
)
def test_mistakes(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(**section)


def test_a_method_cannot_train_a_teacher() -> None:
    with pytest.raises(UsageError, match=r"kd learns from a teacher; use it as method=\.\.\. of preceptor distill"):
        resolve(name="kd", has_teacher=False)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "kd", "temperature": True}, r"^method.kd.temperature: input should be a number, not true or false"),
        ({"name": "kd", "weight": True}, r"^method.kd.weight: expected a number or a schedule, got True"),
        ({"name": "at", "kd": False}, r"^method.kd.weight: expected a number or a schedule, got False"),
        (
            {"name": "kd", "weight": {"schedule": "cosine", "peak": True}},
            r"^method.kd.weight.peak: input should be a number",
        ),
        (
            {"name": "rkd", "weight": {"schedule": "warmup", "over": True}},
            r"^method.rkd.weight.over: input should be a num",
        ),
    ],
)
def test_a_boolean_is_no_number(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(**section)


def test_a_sum_without_a_name_is_called_by_its_terms() -> None:
    assert name_of(ObjectiveSection.model_validate({"name": "soteacher", "lipschitz": 1})) == "soteacher"
    assert name_of(ObjectiveSection.model_validate({"brier": 1, "lipschitz": 1e-5})) == "brier+lipschitz"


OWN = """
import pathlib
from preceptor.objectives.base import Objective

class Mine(Objective):
    def __init__(self, sharpness: float = 2.0, widths=(8, 8), mode: str | None = None):
        super().__init__()
        self.sharpness, self.widths = sharpness, widths
        if sharpness < 0:
            raise ValueError(f"sharpness: {sharpness} is below 0")
        if mode == "broken":
            raise RuntimeError("no such mode")
    def loss(self, step):
        return step.student.logits.square().mean() * self.sharpness

class OfPaths(Mine):
    def __init__(self, place: pathlib.Path = pathlib.Path("x")):
        super().__init__()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("terms_of_own.py").write_text(OWN)


@pytest.mark.usefixtures("own")
def test_a_class_of_ones_own_is_a_term_called_like_it() -> None:
    place = "terms_of_own:Mine"
    terms = resolve(name=place, sharpness=3, cross_entropy={"weight": 0.5})
    mine = {"name": place, "weight": 1.0, "sharpness": 3.0, "widths": (8, 8), "mode": None}
    assert terms == {"Mine": mine, "cross_entropy": {"name": "cross_entropy", "weight": 0.5, "class_weights": None}}
    again = ObjectiveSection.model_validate({"name": place, **terms})
    assert resolve_terms(again, "method", has_teacher=True) == terms
    assert [*build_sum(terms).weight_of] == ["Mine", "cross_entropy"]
    assert resolve(name=place, weight=2, Mine={"sharpness": 1})["Mine"]["weight"] == 2
    beside = resolve(name="kd", mine={"name": place, "weight": 0.5, "widths": [4]})
    assert (beside["mine"]["widths"], [*beside]) == ([4], ["cross_entropy", "kd", "mine"])
    assert [*resolve(name=place, has_teacher=False)] == ["Mine"]
    assert objective_of(place, "method") is source_of(place, "method")
    assert objective_of("kd", "method") is KD


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "terms_of_own:Mine", "sharpnes": 3}, "method.sharpnes: unknown key; did you mean sharpness?"),
        (
            {"name": "terms_of_own:Mine", "sharpness": "much"},
            "method.Mine.sharpness: input should be a valid number, unable to parse string as a number, got 'much'",
        ),
        ({"name": "terms_of_own:Mine", "sharpness": -1}, "Mine: sharpness: -1.0 is below 0"),
        ({"name": "terms_of_own:Mine", "mode": "broken"}, "Mine: terms_of_own:Mine failed: RuntimeError: no such mode"),
        ({"name": "kd", "own": {"name": ["terms_of_own:Mine"]}}, "method.own.name: unknown name ['terms_of_own:Mine']"),
        ({"name": "terms_of_own:Min"}, "method: terms_of_own has no 'Min'; did you mean Mine"),
        ({"name": "kd", "mine": {"name": "none_of_own:Mine"}}, "method.mine: none_of_own:Mine: cannot import none_of_own"),
        ({"name": "terms_of_own:OfPaths"}, "is no number, text, true, false, list or mapping, which a run folder can hold"),
        ({"name": "python:mine.Mine"}, "method: mine.Mine was passed from Python; method=PKG.MODULE:CLASS names it"),
        ({"name": "kd", "timm:Mine": {"weight": 1}}, "method.timm:Mine: unknown key"),
    ],
)  # fmt: skip
def test_mistakes_with_a_class_of_ones_own(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        build_sum(resolve(**section))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
