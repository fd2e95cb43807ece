"""Candidates for teachers in order, each criterion's choice, and their page."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from preceptor.reports import print_assessments, write_assessment_page

BARS = [{"count": 10, "confidence": 0.7, "accuracy": 0.6}]


def record(name: str, accuracy: float, nll: float, *, is_calibrated: bool = True) -> dict[str, Any]:
    scores = {"samples": 40, "accuracy": accuracy, "nll": nll, "brier": 0.5, "ece": 0.125, "entropy": 1.0}
    return {
        "name": f"runs/{name}",
        "validation": scores if is_calibrated else None,
        "test": scores,
        "calibrated": {**scores, "ece": 0.0625} if is_calibrated else None,
        "temperature": 1.5 if is_calibrated else None,
        "fidelity": None,
        "bars": {"test": BARS, "calibrated": BARS} if is_calibrated else {"test": BARS},
        "notes": ["a note"],
    }


def printed(*records: dict[str, Any]) -> list[str]:
    out = io.StringIO()
    print_assessments(records, Console(file=out, width=160))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_candidates_are_ordered_by_validation_nll_and_each_criterion_names_one() -> None:
    lines = printed(record("a", 0.75, 1.0), record("b", 0.5, 0.75))
    assert [line.split()[0] for line in lines[1:3]] == ["runs/b", "runs/a"]
    assert lines[2].split()[1:4] == ["75.00", "1.0000", "0.5000"]
    assert lines[4] == "Best on validation: runs/b by NLL; runs/a by Brier score and ECE and accuracy."
    assert lines[5] == "note: a note"
    assert printed(record("a", 0.75, 1.0, is_calibrated=False), record("b", 0.5, 0.75, is_calibrated=False))[
        4
    ].startswith("Best on test: ")


def test_of_one_candidate_every_number_is_printed() -> None:
    lines = printed(record("a", 0.75, 1.0))
    assert lines[0].split() == ["runs/a", "validation", "test", "test", "at", "T"]
    assert ["ece", "0.1250", "0.1250", "0.0625"] in [line.split() for line in lines]
    assert ["temperature", "T", "1.5000"] in [line.split() for line in lines]


def test_the_page_has_a_diagram_before_and_after_calibration(tmp_path: Path) -> None:
    write_assessment_page([record("a", 0.75, 1.0), record("b", 0.5, 0.75)], tmp_path / "page.html", subtitle="digits")
    text = (tmp_path / "page.html").read_text()
    assert text.count("<svg") == 4
    assert len(re.findall(r"<text[^>]*>[^<]*T = 1.50</text>", text)) == 2
    assert "http" not in re.sub(r'xmlns(:\w+)?="http[^"]*"', "", text)
