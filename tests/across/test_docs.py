"""Every method has its card, every card its place on the site."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from preceptor.config.procedures import PROCEDURES
from preceptor.objectives.distill import METHODS
from preceptor.objectives.teacher import OBJECTIVES

ROOT = Path(__file__).parents[2]
HEADINGS = ["## When to use", "## Settings", "## Cost", "## When it fails"]


@pytest.mark.parametrize("key", [*METHODS, *PROCEDURES])
def test_a_method_has_a_card(key: str) -> None:
    text = (ROOT / "docs" / "methods" / f"{key}.md").read_text()
    assert text.startswith(f"# {key}\n")
    headings = [*HEADINGS, "## Reference"] if key in METHODS else HEADINGS
    assert [line for line in text.splitlines() if line.startswith("## ")] == headings
    assert (f"::: preceptor.objectives.distill.{key}\n" in text) == (key in METHODS)
    assert f"- methods/{key}.md\n" in (ROOT / "mkdocs.yml").read_text()
    assert f"[`{key}`]({key}.md)" in (ROOT / "docs" / "methods" / "index.md").read_text()


def test_there_is_no_card_without_a_method() -> None:
    assert {path.stem for path in (ROOT / "docs" / "methods").glob("*.md")} == {*METHODS, *PROCEDURES, "index"}


@pytest.mark.parametrize("key", OBJECTIVES)
def test_a_teacher_objective_is_described(key: str) -> None:
    assert f"::: preceptor.objectives.teacher.{key}\n" in (ROOT / "docs" / "objectives.md").read_text()


def test_issue_forms_ask_for_what_helps() -> None:
    forms = {
        path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")
    }
    assert forms.keys() == {"bug", "feature"}
    for form in forms.values():
        assert form.keys() == {"name", "description", "labels", "body"}
        fields = [field for field in form["body"] if field["type"] != "markdown"]
        assert len({field["id"] for field in fields}) == len(fields)
        assert all(field["attributes"]["label"] for field in fields)
        assert any(field.get("validations", {}).get("required") for field in fields)
    (doctor,) = [field for field in forms["bug"]["body"] if field.get("id") == "doctor"]
    assert "preceptor doctor" in doctor["attributes"]["label"]
