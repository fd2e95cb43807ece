"""Candidates for teachers side by side: a table, a sentence, a page with reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from preceptor.reports.page import write_page

__all__ = ["print_assessments", "write_assessment_page"]

_CRITERIA = {"nll": "NLL", "brier": "Brier score", "ece": "ECE", "accuracy": "accuracy", "auroc": "AUROC"}
_MORE_IS_BETTER = {"accuracy", "auroc"}
_PERCENT = {"accuracy", "top5", "macro_accuracy", "balanced_accuracy", "prevalence", "agreement"}
_BRIEF = {"val acc", "val NLL", "val Brier", "test acc", "AUROC", "NLL", "ECE", "T", "to truth", "agrees", "KL to it"}
_OF_TWO_CLASSES = (("AUROC", "auroc"), ("AP", "average_precision"), ("F1", "f1"))
_NOTE = (
    "Ordered by validation NLL, the first to look at when a teacher is chosen; validation samples were held out of training. "
    "T: the temperature that minimises it. At T: test outputs divided by it, which changes no choice. Accuracies in %, NLL and "
    "entropy in nats, Brier score summed over classes, ECE over 15 equal-width bins. To truth: mean squared distance to the "
    "true label distribution, summed over classes."
)

Record = Mapping[str, Any]


def print_assessments(records: Sequence[Record], console: Console) -> None:
    """Print candidates as a table; of a single one, every number.

    Args:
        records: each an `Assessment.as_dict()`.
        console: where to.
    """
    if len(records) == 1:
        console.print(_all_numbers(records[0]))
    else:
        table = Table(box=None, padding=(0, 1, 0, 0))
        rows = [_row(record) for record in _ordered(records)]
        table.add_column("candidate", min_width=12, overflow="fold")
        for column in rows[0]:
            if column in _BRIEF:
                table.add_column(column, justify="right", no_wrap=True)
        for record, row in zip(_ordered(records), rows, strict=True):
            table.add_row(_short(record["name"]), *(cell for column, cell in row.items() if column in _BRIEF))
        console.print(table)
        console.print(f"\n{_finding(records)}", highlight=False)
    for line in dict.fromkeys(note for record in records for note in record["notes"]):
        console.print(f"note: {line}", highlight=False)


def write_assessment_page(records: Sequence[Record], page: Path, *, subtitle: str) -> None:
    """Write one self-contained HTML file.

    Args:
        records: each an `Assessment.as_dict()`.
        page: the file; its folder is made.
        subtitle: the data measured on.
    """
    from preceptor.reports import figures  # noqa: PLC0415  (slow imports, wanted only here)

    ordered = _ordered(records)
    content = {
        "title": "How good is this teacher, as a teacher?" if len(records) == 1 else "Which teacher?",
        "subtitle": subtitle,
        "finding": _finding(records),
        "table_title": "Candidates",
        "small_title": "Are they calibrated?",
        "small_note": "Accuracy over confidence on test, 15 bins, as trained and at the temperature fitted on validation; "
        "dots on the dashed line are calibrated.",
        "runs_title": "Every number, on test",
        "has_runs": False,
        "columns": ("candidate", *_row(ordered[0])),
        "rows": [(_short(record["name"]), *_row(record).values()) for record in ordered],
        "table_note": _NOTE,
        "figures": [],
        "small_figures": [
            {"svg": figures.reliability(record["bars"][profile], f"{_short(record['name'])}{suffix}")}
            for record in ordered
            for profile, suffix in (("test", ""), ("calibrated", f", T = {record['temperature'] or 1:.2f}"))
            if profile in record["bars"]
        ],
        "run_columns": ("candidate", *[name.replace("_", " ") for name in _names(records)]),
        "runs": [
            {
                "name": record["name"],
                "href": None,
                "cells": [_number(name, record["test"].get(name)) for name in _names(records)],
            }
            for record in ordered
        ],
    }
    write_page(content, page)


def _ordered(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record["validation"] or record["test"])["nll"])


def _row(record: Record) -> dict[str, str]:
    """Return a candidate's cells by column."""
    test, validation, calibrated = record["test"], record["validation"], record["calibrated"]
    row = {}
    if validation:
        row = {
            "val acc": f"{100 * validation['accuracy']:.2f}",
            "val NLL": f"{validation['nll']:.4f}",
            "val Brier": f"{validation['brier']:.4f}",
        }
    row["test acc"] = f"{100 * test['accuracy']:.2f}"
    row |= {heading: f"{test[name]:.4f}" for heading, name in _OF_TWO_CLASSES if name in test}
    row |= {
        heading: f"{test[name]:.4f}"
        for heading, name in (("NLL", "nll"), ("Brier", "brier"), ("ECE", "ece"), ("entropy", "entropy"))
    }
    if calibrated:
        row |= {
            "T": f"{record['temperature']:.3f}",
            "NLL at T": f"{calibrated['nll']:.4f}",
            "ECE at T": f"{calibrated['ece']:.4f}",
        }
    if "truth_mse" in test:
        row["to truth"] = f"{test['truth_mse']:.4f}"
    if record["fidelity"]:
        row |= {"agrees": f"{100 * record['fidelity']['agreement']:.2f}", "KL to it": f"{record['fidelity']['kl']:.4f}"}
    return row


def _finding(records: Sequence[Record]) -> str:
    """Return a sentence: which candidate each criterion prefers."""
    split = "validation" if records[0]["validation"] else "test"
    if len(records) == 1:
        name, only = _short(records[0]["name"]), records[0]["test"]
        return f"{name}: test accuracy {100 * only['accuracy']:.2f} %, NLL {only['nll']:.4f}, ECE {only['ece']:.4f}."
    choices: dict[str, list[str]] = {}
    for key, name in _CRITERIA.items():
        if key not in records[0][split]:
            continue
        best = min(records, key=lambda record: (-1 if key in _MORE_IS_BETTER else 1) * record[split][key])
        choices.setdefault(_short(best["name"]), []).append(name)
    best_by = "; ".join(f"{name} by {' and '.join(criteria)}" for name, criteria in choices.items())
    return f"Best on {split}: {best_by}."


def _all_numbers(record: Record) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    profiles = [profile for profile in ("validation", "test", "calibrated") if record[profile]]
    table.add_column(_short(record["name"]), overflow="fold")
    for profile in profiles:
        table.add_column("test at T" if profile == "calibrated" else profile, justify="right")
    for name in record["test"]:
        table.add_row(name.replace("_", " "), *(_number(name, record[profile].get(name)) for profile in profiles))
    if record["temperature"] is not None:
        table.add_row("temperature T", *("" for _ in profiles[:-1]), f"{record['temperature']:.4f}")
    for name, value in (record["fidelity"] or {}).items():
        table.add_row(f"to the reference: {name.replace('_', ' ')}", *("" for _ in profiles[:-1]), _number(name, value))
    return table


def _names(records: Sequence[Record]) -> list[str]:
    return list(records[0]["test"])


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name == "samples":
        return f"{value:,}"
    return f"{100 * value:.2f} %" if name.removeprefix("truth_") in _PERCENT else f"{value:.4f}"


def _short(name: str) -> str:
    return "/".join(Path(name).parts[-2:])
