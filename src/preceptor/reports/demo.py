"""The demo's report, read from its run folders: a table, four kinds of figure, a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from preceptor.artifacts.record import RunRecord
from preceptor.artifacts.run_folder import RunFolder
from preceptor.errors import UsageError
from preceptor.experiments.statistics import LEAST_SEEDS, Comparison, Spread, compare, paired_gain, spread
from preceptor.reports.page import write_page

__all__ = ["BASELINE", "DemoRow", "DemoSummary", "print_summary", "summarise_demo", "write_demo_page"]

BASELINE = "cross_entropy"
TRUTH = "true_distribution"
_CONVERGED = 0.95
_COLUMNS = ("teacher", "train acc", "test acc", "to truth", "ECE", "student acc")
_NOTE = (
    "Accuracies in %{over_seeds}. To truth: mean squared distance of the teacher's test "
    "output to the true label distribution, summed over classes. ECE: expected calibration error, 15 bins. Gain: student "
    "accuracy over that of the cross-entropy teacher's students{paired}. Students see the teacher at "
    "temperature 4; the true distribution, which is no teacher's output, at 1."
)

Runs = dict[str, dict[int, RunRecord]]


@dataclass(frozen=True, slots=True)
class DemoRow:
    """One teacher objective and its students; no teacher where the students learn from the truth."""

    name: str
    train_accuracy: Spread | None
    test_accuracy: Spread | None
    distance: Spread | None
    ece: Spread | None
    student_accuracy: Spread
    gain: Comparison | None


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """The results of a demo."""

    rows: tuple[DemoRow, ...]
    finding: str
    teachers: Runs
    students: Runs

    @property
    def seeds(self) -> int:
        """How many there are; of one there are no deviations and no intervals."""
        return self.rows[0].student_accuracy.n

    @property
    def columns(self) -> tuple[str, ...]:
        """The headings of the table."""
        return (*_COLUMNS, "gain" if self.seeds < LEAST_SEEDS else "gain [95 %]")


def summarise_demo(folder: Path) -> DemoSummary:
    """Return the table of a demo folder: teachers/NAME-seedN and students/NAME-seedN.

    Raises:
        UsageError: when a run is missing or unfinished.
    """
    teachers, students = _runs(folder / "teachers"), _runs(folder / "students")
    if BASELINE not in students:
        raise UsageError(f"{folder}: has no students of a {BASELINE} teacher")
    accuracy = {name: {seed: run.test["accuracy"] for seed, run in runs.items()} for name, runs in students.items()}
    gains = {name: paired_gain(values, accuracy[BASELINE]) for name, values in accuracy.items() if name != BASELINE}
    paired = {name: gain for name, gain in gains.items() if gain is not None}
    compared = dict(zip(paired, compare([*paired.values()]), strict=True))
    rows = []
    for name in [*teachers, *(name for name in students if name not in teachers)]:
        taught = [*teachers[name].values()] if name in teachers else []
        rows.append(
            DemoRow(
                name,
                _over([run.train["accuracy"] for run in taught]),
                _over([run.test["accuracy"] for run in taught]),
                _over([run.test["truth_mse"] for run in taught]),
                _over([run.test["ece"] for run in taught]),
                spread([*accuracy[name].values()]),
                compared.get(name),
            )
        )
    return DemoSummary(tuple(rows), _finding(rows), teachers, students)


def print_summary(summary: DemoSummary, console: Console) -> None:
    """Print the table and the sentence."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for number, column in enumerate(summary.columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in summary.rows:
        table.add_row(*_cells(row))
    console.print(table)
    console.print(f"\n{summary.finding}", highlight=False)


def write_demo_page(summary: DemoSummary, folder: Path) -> Path:
    """Write report.html, a self-contained file, and return its path."""
    from preceptor.reports import figures  # noqa: PLC0415  (slow imports, wanted only here)

    points = _points(summary)
    curves = [
        {"epoch": line["epoch"], "validation accuracy": 100 * line["validation"]["accuracy"], "teacher": name}
        for name, runs in summary.teachers.items()
        for run in runs.values()
        for line in run.history
    ]
    names = [*summary.teachers]
    over_seeds, paired, bands = "", "", ""
    if summary.seeds > 1:
        over_seeds, paired = "; mean ± standard deviation over seeds", ", paired by seed"
        bands = "; bands are one standard deviation over seeds"
    if summary.seeds >= LEAST_SEEDS:
        paired += ", 95 % interval by Student's t with Holm's correction"
    content = {
        "title": "Which teacher is best for its student?",
        "subtitle": _subtitle(summary),
        "finding": summary.finding,
        "table_title": "Teachers and their students",
        "small_title": "Are the teachers calibrated?",
        "small_note": "Accuracy over confidence on test, 15 bins, first seed; dots on the dashed line are calibrated.",
        "runs_title": "Every run",
        "has_runs": True,
        "columns": summary.columns,
        "rows": [_cells(row) for row in summary.rows],
        "table_note": _NOTE.format(over_seeds=over_seeds, paired=paired),
        "figures": [
            {
                "svg": _student_scatter(points, "teacher distance to truth", names),
                "caption": "One point per seed: the nearer the teacher is to the true label distribution (left), the better its "
                "student should be (up).",
            },
            {
                "svg": _student_scatter(points, "teacher accuracy", names),
                "caption": "The same students over their teachers' accuracy: the usual way to choose a teacher.",
            },
            {
                "svg": figures.lines(curves, x="epoch", y="validation accuracy", colour="teacher", order=names),
                "caption": f"Teachers while they train{bands}.",
            },
        ],
        "small_figures": [
            {"svg": figures.reliability(next(iter(runs.values())).reliability or (), name)}
            for name, runs in summary.teachers.items()
        ],
        "run_columns": ("run", "train acc", "test acc", "NLL", "distance to truth", "ECE", "seconds"),
        "runs": [*_listed("teachers", summary.teachers), *_listed("students", summary.students)],
        "versions": _versions(summary),
    }
    page = folder / "report.html"
    write_page(content, page)
    return page


def _runs(folder: Path) -> Runs:
    runs: Runs = {}
    for path in sorted(folder.glob("*-seed*"), key=lambda p: p.stat().st_mtime_ns):  # in the order they were made
        if not RunFolder(path).config.exists():
            continue  # notes that somebody kept beside an earlier run
        name, _, seed = path.name.rpartition("-seed")
        runs.setdefault(name, {})[int(seed)] = RunFolder(path).read_record()
    if not runs:
        raise UsageError(f"{folder}: holds no runs")
    return runs


def _over(values: Sequence[float]) -> Spread | None:
    return spread(values) if values else None


def _finding(rows: Sequence[DemoRow]) -> str:
    """Return one sentence: what the numbers show, and no more."""
    teachers = [row for row in rows if row.distance is not None and row.test_accuracy is not None]
    nearest = min(teachers, key=lambda row: row.distance.mean if row.distance else 0.0)
    students = max(teachers, key=lambda row: row.student_accuracy.mean)
    better = [row.name for row in teachers if row.gain is not None and row.gain.verdict == "better"]
    worse = [row.name for row in teachers if row.gain is not None and row.gain.verdict == "worse"]
    seeds = rows[0].student_accuracy.n
    best = "the best students on average are those" if seeds > 1 else "the best student is that"
    clauses = [f"The teacher nearest to the true label distribution is {nearest.name}; {best} of {students.name}"]
    if better:
        clauses.append(
            f"beyond noise, students are better than the cross-entropy teacher's under {' and '.join(better)}"
        )
    elif seeds < LEAST_SEEDS:
        clauses.append(f"no interval and no test: fewer than {LEAST_SEEDS} seeds")
    elif not worse:
        clauses.append("every difference from the cross-entropy teacher's students is within noise")
    if worse:
        clauses.append(f"they are worse under {' and '.join(worse)}")
    unconverged = [r.name for r in teachers if r.train_accuracy and r.train_accuracy.mean < _CONVERGED]
    if unconverged:
        clauses.append(f"not converged (training accuracy under 95 %): {' and '.join(unconverged)}")
    return f"{'; '.join(clauses)}. {seeds} seed{'s' * (seeds != 1)}, small images, one data set: a demonstration, not evidence."


def _cells(row: DemoRow) -> list[str]:
    star = "" if row.train_accuracy is None or row.train_accuracy.mean >= _CONVERGED else " (not converged)"
    return [
        row.name.replace("_", " ") + star,
        "–" if row.train_accuracy is None else f"{100 * row.train_accuracy.mean:.1f}",
        _mean_std(row.test_accuracy, 100, 1),
        _mean_std(row.distance, 1, 3),
        _mean_std(row.ece, 1, 3),
        _mean_std(row.student_accuracy, 100, 1),
        _gain(row.gain),
    ]


def _mean_std(value: Spread | None, scale: float, digits: int) -> str:
    if value is None:
        return "–"
    mean = f"{scale * value.mean:.{digits}f}"
    return mean if value.std is None else f"{mean} ±{scale * value.std:.{digits}f}"


def _gain(found: Comparison | None) -> str:
    if found is None:
        return "–"
    interval = "" if found.low is None or found.high is None else f" [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    return f"{100 * found.gain.mean:+.1f}{interval}"


def _points(summary: DemoSummary) -> list[dict[str, Any]]:
    return [
        {
            "teacher": name,
            "teacher distance to truth": run.test["truth_mse"],
            "teacher accuracy": 100 * run.test["accuracy"],
            "student accuracy": 100 * summary.students[name][seed].test["accuracy"],
        }
        for name, runs in summary.teachers.items()
        for seed, run in runs.items()
    ]


def _student_scatter(points: Sequence[Mapping[str, Any]], x: str, names: Sequence[str]) -> str:
    from preceptor.reports import figures  # noqa: PLC0415  (see write_demo_page)

    return figures.scatter(points, x=x, y="student accuracy", colour="teacher", order=names)


def _listed(kind: str, runs: Runs) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{kind[:-1]} {name} seed {seed}",
            "href": f"{kind}/{name}-seed{seed}/result.json",
            "cells": [
                f"{100 * run.train['accuracy']:.1f}",
                f"{100 * run.test['accuracy']:.1f}",
                f"{run.test['nll']:.3f}",
                f"{run.test['truth_mse']:.3f}",
                f"{run.test['ece']:.3f}",
                f"{run.seconds:.1f}",
            ],
        }
        for name, seeds in runs.items()
        for seed, run in seeds.items()
    ]


def _subtitle(summary: DemoSummary) -> str:
    run = next(iter(summary.teachers[BASELINE].values()))
    return (
        f"{len(summary.teachers)} teachers x {summary.seeds} seed{'s' * (summary.seeds != 1)} and a student of each, on "
        "handwritten digits blended pairwise so that the true label distribution of every image is known; "
        f"{run.test['samples']:,} test images, Bayes accuracy {100 * run.test['truth_bayes_accuracy']:.1f} %."
    )


def _versions(summary: DemoSummary) -> str:
    run = next(iter(summary.teachers[BASELINE].values()))
    return ", ".join(f"{name} {version}" for name, version in run.versions.items()) + f"; finished {run.finished}"
