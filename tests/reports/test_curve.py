"""The points of a curve as a table, a sentence and a page."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from preceptor.reports import print_curve, write_curve_page


def point(epoch: int, nll: float, student: float, **truth: float) -> dict[str, Any]:
    scores = {"accuracy": 0.75, "nll": nll, "ece": 0.125}
    test = {"accuracy": student, "nll": 1.5, "ece": 0.25}
    teacher_test = {**scores, **truth}
    return {
        "epoch": epoch,
        "teacher": scores,
        "teacher_test": teacher_test,
        "student_test": test,
        "student": f"s/e{epoch}",
    }


POINTS = [point(2, 1.0, 0.5), point(4, 0.75, 0.625), point(6, 0.875, 0.5625)]


def test_the_sentence_compares_the_best_the_chosen_and_the_last() -> None:
    out = io.StringIO()
    print_curve(POINTS, Console(file=out, width=200))
    lines = out.getvalue().splitlines()
    assert lines[2].split() == ["4", "75.00", "0.7500", "0.1250", "–", "62.50", "1.5000"]
    assert lines[-1].startswith(
        "Students of epoch 4 (the best student): 62.50 %; epoch 4 (lowest validation NLL): 62.50 %; epoch 6 (the last kept)"
    )


def test_the_page_draws_the_distance_to_the_truth_where_it_is_known(tmp_path: Path) -> None:
    write_curve_page(POINTS, tmp_path / "a.html", subtitle="a teacher")
    known = [point(2, 1.0, 0.5, truth_mse=0.5), point(4, 0.75, 0.625, truth_mse=0.25)]
    write_curve_page(known, tmp_path / "b.html", subtitle="a teacher")
    pages = [(tmp_path / name).read_text() for name in ("a.html", "b.html")]
    assert [page.count("<svg") for page in pages] == [2, 3]
    assert re.findall(r'href="([^"]+)"', pages[1]) == ["e2/result.json", "e4/result.json"]
