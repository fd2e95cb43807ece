"""The figures of a grid's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from preceptor.escaping import link
from preceptor.reports import figures
from preceptor.reports.grid_folder import Cell, GridFolder
from preceptor.reports.groups import Group, named

__all__ = ["Figure", "learning_curves", "merged_bars", "reliability_diagrams", "teacher_figures", "teacher_scores"]

_AXES = {  # metric: axis, in percent, caption
    "accuracy": ("teacher accuracy %", True, "The usual way to choose a teacher: its own accuracy."),
    "nll": ("teacher NLL", False, "The further left, the better the teacher's probabilities by its own labels."),
    "truth_mse": (
        "teacher distance to truth",
        False,
        "Mean squared distance to the true label distribution: the further left, the nearer the teacher is to it.",
    ),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing and the sentence below it."""

    svg: Markup
    caption: str


def teacher_figures(grid: GridFolder, keys: Sequence[str]) -> tuple[list[Figure], str | None]:
    """Return student accuracy over the teacher's quality and over its distance to truth, and what is missing in them.

    Args:
        grid: with its results.
        keys: choices that are told apart by colour.
    """
    students = [cell for cell in grid.of("distill") if cell.record is not None]
    split, scores = teacher_scores(grid, students)
    drawn = []
    for metric, (axis, is_percent, caption) in _AXES.items():
        x = f"{axis} ({split})"
        points = [
            {
                x: (100 if is_percent else 1) * scores[cell.id][metric],
                "student test accuracy %": 100 * cell.record.test["accuracy"],
                "of": named(cell.choices, keys) or named(cell.choices),
                "url": link(f"{cell.run}/result.json"),
            }
            for cell in students
            if cell.record is not None and metric in scores.get(cell.id, {})
        ]
        if points:
            order = list(dict.fromkeys(str(point["of"]) for point in points))
            svg = figures.scatter(points, x=x, y="student test accuracy %", colour="of", order=order, url="url")
            drawn.append(Figure(svg, f"{caption} One point per student; a point leads to its run."))
    missing = len(students) - len(scores)
    told = (
        f"{missing} of {len(students)} students are not drawn: their teacher's scores are not in the grid"
        if missing
        else None
    )
    return drawn, told


def teacher_scores(grid: GridFolder, students: Sequence[Cell]) -> tuple[str, dict[str, Mapping[str, float]]]:
    """Return a split, and each student's teacher's scores on it: test where each teaching state was tested, else validation.

    Args:
        grid: with the teachers.
        students: whose teachers are wanted; those without scores are left out.
    """
    cells = {cell.id: cell for cell in grid.cells}
    taught = [(cell.id, cells[cell.teacher], cell.teacher_epoch) for cell in students if cell.teacher in cells]
    found = [(name, teacher.record, epoch) for name, teacher, epoch in taught if teacher.record is not None]
    if all(epoch in {None, record.selected_epoch} for _, record, epoch in found):
        return "test", {name: record.test for name, record, _ in found}
    scores = {}
    for name, record, epoch in found:
        row = next((row for row in record.history if row["epoch"] == (epoch or record.selected_epoch)), {})
        if row.get("validation"):
            scores[name] = row["validation"]
    return "validation", scores


def learning_curves(groups: Sequence[Group], names: Sequence[str], keys: Sequence[str], what: str) -> list[Figure]:
    """Return accuracy over epochs: a figure per setting, a line per alternative, a band over its seeds.

    Args:
        groups: of one verb.
        names: choices in which they differ.
        keys: choices that are told apart by colour.
        what: "Students" or "Teachers", for the caption.
    """
    settings: dict[str, list[Group]] = {}
    for group in groups:
        setting = named(group.choices, [name for name in names if name not in keys])
        settings.setdefault(setting, []).append(group)
    drawn = []
    for setting, own in settings.items():
        rows, split = _curve_rows(own, keys)
        if not rows:
            continue
        axis = f"{split} accuracy %"
        order = list(dict.fromkeys(str(row["of"]) for row in rows))
        svg = figures.lines([{**row, axis: row["y"]} for row in rows], x="epoch", y=axis, colour="of", order=order)
        drawn.append(Figure(svg, f"{what}: {setting}." if setting else f"{what}."))
    return drawn


def reliability_diagrams(groups: Sequence[Group], names: Sequence[str], what: str) -> list[Markup]:
    """Return a reliability diagram on test per group, the bins of all seeds merged."""
    drawn = []
    for group in groups:
        bars = [record.reliability for record in group.records.values() if record.reliability]
        if bars:
            drawn.append(figures.reliability(merged_bars(bars), f"{what}: {named(group.choices, names)}"))
    return drawn


def merged_bars(runs: Sequence[Sequence[Mapping[str, float]]]) -> list[dict[str, float]]:
    """Return the bins of several runs as one: counts summed, confidence and accuracy weighted by them.

    Examples:
        >>> a = [{"count": 1, "confidence": 0.5, "accuracy": 1.0}]
        >>> b = [{"count": 3, "confidence": 0.5, "accuracy": 0.0}]
        >>> merged_bars([a, b])
        [{'count': 4, 'confidence': 0.5, 'accuracy': 0.25}]
    """
    merged = []
    for bars in zip(*runs, strict=True):
        count = sum(bar["count"] for bar in bars)
        means = {
            key: sum(bar["count"] * bar[key] for bar in bars) / count if count else 0.0
            for key in ("confidence", "accuracy")
        }
        merged.append({"count": count, **means})
    return merged


def _curve_rows(groups: Sequence[Group], keys: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """Return points of the curves: on validation, or on train where nothing was held out."""
    records = [(group, record) for group in groups for record in group.records.values()]
    split = "validation" if any(row.get("validation") for _, record in records for row in record.history) else "train"
    return [
        {"epoch": row["epoch"], "y": 100 * value, "of": named(group.choices, keys) or named(group.choices)}
        for group, record in records
        for row in record.history
        if (value := (row.get(split) or {}).get("accuracy")) is not None
    ], split
