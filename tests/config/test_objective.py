from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from preceptor.config.objective import build_sum, reads_logits_only
from preceptor.config.sections import ObjectiveSection
from preceptor.config.terms import resolve_terms
from preceptor.errors import UsageError


def resolve(**section: Any) -> dict[str, dict[str, Any]]:
    return resolve_terms(ObjectiveSection(**section), "method", has_teacher=True)


def test_a_sum_of_nothing() -> None:
    with pytest.raises(UsageError, match="every term has weight 0: cross_entropy"):
        build_sum(resolve(name="cross_entropy", weight=0))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "kd", "temperature": 0}, r"^kd: temperature: 0\.0 is not above 0$"),
        (
            {"name": "fsp", "stage_epochs": 0},
            "^fsp: with weight 0 and stage_epochs 0 nothing is left of it; give it a weight$",
        ),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_sum(resolve(**section))


def test_a_term_with_a_stage_alone_is_kept_and_does_not_run() -> None:
    objective = build_sum(resolve(name="ab"))
    assert [name for name, _ in objective.named_terms()] == ["cross_entropy", "ab"]
    assert objective.running == ("cross_entropy",)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"name": "kd"}, True),
        ({"name": "dkd"}, True),
        ({"name": "kd", "crd": {"weight": 1.0}}, False),
        ({"name": "at"}, False),
        ({"name": "mlkd"}, False),  # its strong view
        ({"name": "takd"}, True),
    ],
)
def test_stored_outputs_serve_terms_that_read_logits_of_the_samples(section: dict[str, Any], expected: bool) -> None:
    terms = resolve_terms(ObjectiveSection.model_validate(section), "method", has_teacher=True)
    assert reads_logits_only(terms) == expected


OWN = """
from preceptor.objectives.base import Objective, Taps

class Logits(Objective):
    def loss(self, step):
        return step.student.logits.sum()

class Maps(Logits):
    def taps(self, student, teacher):
        return Taps(tuple(student), tuple(teacher))
"""


def test_stored_outputs_serve_ones_own_objective_that_taps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stored_of_own.py").write_text(OWN)
    for name, expected in (("Logits", True), ("Maps", False)):
        section = ObjectiveSection(name=f"stored_of_own:{name}")
        assert reads_logits_only(resolve_terms(section, "method", has_teacher=True)) == expected
