"""The students of a teacher's kept epochs, as a table, a sentence and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from preceptor.escaping import link
from preceptor.reports.page import write_page

__all__ = ["print_curve", "write_curve_page"]

_COLUMNS = ("teacher epoch", "val acc", "val NLL", "val ECE", "to truth", "student acc", "student NLL")
_NOTE = (
    "Teacher scores on validation (test where nothing was held out); to truth: mean squared distance of the teacher's test "
    "output to the true label distribution, where that is known. Student scores on test. One seed unless repeated."
)

Record = Mapping[str, Any]


def print_curve(points: Sequence[Record], console: Console) -> None:
    """Print the table and the sentence.

    Args:
        points: each a `Point.as_dict()`, in the teacher's order.
        console: where to.
    """
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for point in points:
        table.add_row(*_cells(point))
    console.print(table)
    console.print(f"\n{_finding(points)}", highlight=False)


def write_curve_page(points: Sequence[Record], page: Path, *, subtitle: str) -> None:
    """Write one self-contained HTML file.

    Args:
        points: each a `Point.as_dict()`, in the teacher's order.
        page: the file.
        subtitle: which teacher and students.
    """
    from preceptor.reports import figures  # noqa: PLC0415  (slow imports, wanted only here)

    accuracy = [
        {"teacher epoch": point["epoch"], "accuracy": 100 * point[scores]["accuracy"], "of": name}
        for point in points
        for scores, name in (("teacher", "teacher"), ("student_test", "its student"))
    ]
    drawn = [
        {
            "svg": figures.lines(
                accuracy, x="teacher epoch", y="accuracy", colour="of", order=["teacher", "its student"]
            ),
            "caption": "Accuracy in % of the teacher (validation) and of the student distilled from it (test).",
        }
    ]
    for scores, key, name in (("teacher", "nll", "validation NLL"), ("teacher_test", "truth_mse", "distance to truth")):
        if key in points[0][scores]:
            rows = [{"teacher epoch": p["epoch"], name: p[scores][key], "of": "teacher"} for p in points]
            caption = f"The teacher's {name}."
            svg = figures.lines(rows, x="teacher epoch", y=name, colour="of", order=["teacher"])
            drawn.append({"svg": svg, "caption": caption})
    content = {
        "title": "Which epoch of the teacher teaches best?",
        "subtitle": subtitle,
        "finding": _finding(points),
        "table_title": "Kept epochs and their students",
        "columns": _COLUMNS,
        "rows": [_cells(point) for point in points],
        "table_note": _NOTE,
        "figures": drawn,
        "small_figures": [],
        "runs_title": "Every student",
        "run_columns": ("run", "test acc", "NLL", "ECE"),
        "runs": [
            {
                "name": f"student of epoch {point['epoch']}",
                "href": link(f"{Path(point['student']).name}/result.json"),
                "cells": [
                    f"{100 * point['student_test']['accuracy']:.2f}",
                    f"{point['student_test']['nll']:.4f}",
                    f"{point['student_test']['ece']:.4f}",
                ],
            }
            for point in points
        ],
        "has_runs": True,
    }
    write_page(content, page)


def _cells(point: Record) -> list[str]:
    teacher, student = point["teacher"], point["student_test"]
    truth = point["teacher_test"].get("truth_mse")
    return [
        str(point["epoch"]),
        f"{100 * teacher['accuracy']:.2f}",
        f"{teacher['nll']:.4f}",
        f"{teacher['ece']:.4f}",
        "–" if truth is None else f"{truth:.4f}",
        f"{100 * student['accuracy']:.2f}",
        f"{student['nll']:.4f}",
    ]


def _finding(points: Sequence[Record]) -> str:
    best = max(points, key=lambda point: point["student_test"]["accuracy"])
    chosen = min(points, key=lambda point: point["teacher"]["nll"])
    by = [
        f"epoch {point['epoch']} ({what}): {100 * point['student_test']['accuracy']:.2f} %"
        for point, what in (
            (best, "the best student"),
            (chosen, "lowest validation NLL"),
            (points[-1], "the last kept"),
        )
    ]
    return f"Students of {'; '.join(by)}. The best of several test results is optimistic: it was chosen on test."
