"""A grid's report: one page, and Markdown and CSV beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from preceptor.escaping import markdown as escape
from preceptor.files import write_text
from preceptor.reports.gain_tables import gains_table, overall_table, ranked_table
from preceptor.reports.grid_csv import as_csv
from preceptor.reports.grid_findings import findings_of, notes_of, subtitle_of
from preceptor.reports.grid_folder import GridFolder, read_grid_folder
from preceptor.reports.groups import VERBS, VerbGroups, by_setting, group_cells, overall, varying
from preceptor.reports.page import write_page
from preceptor.reports.run_tables import cells_table, published_table, selection_table, unfinished_table
from preceptor.reports.table import Table, markdown

__all__ = ["Report", "print_report", "write_report"]


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written.

    Attributes:
        page: the HTML file.
        markdown: its tables; of one run there is none.
        csv: a row per cell; of one run a row per class.
        findings: sentences: what the numbers show, and no more.
        tables: the most important ones: those above the figures.
    """

    page: Path
    markdown: Path | None
    csv: Path | None
    findings: tuple[str, ...]
    tables: tuple[Table, ...]


def write_report(folder: Path) -> Report:
    """Write report.html, report.md and report.csv into a grid's folder, or into one that holds runs.

    Raises:
        UsageError: when it holds neither, or grid.json is damaged.
        RunError: when the disk refuses.
    """
    grid = read_grid_folder(folder)
    verbs = _verbs(grid)
    findings, notes = tuple(findings_of(grid, verbs)), notes_of(grid, verbs)
    first, following, last = _tables(grid, verbs)
    heading = {"title": grid.name, "subtitle": subtitle_of(grid), "findings": findings, "notes": notes}
    tables = {"first_tables": first, "next_tables": following, "last_tables": last}
    page = folder / "report.html"
    write_page(
        {**heading, **tables, **_drawn(grid, verbs), **_origin(grid), "file": grid.file}, page, template="grid.html"
    )
    write_text(folder / "report.md", _as_markdown(heading, (*first, *following, *last)))
    write_text(folder / "report.csv", as_csv(grid))
    return Report(page, folder / "report.md", folder / "report.csv", findings, tuple(first))


def print_report(report: Report, console: Console) -> None:
    """Print the ranked table, without the columns that a line has no room for, and the sentences."""
    for table in report.tables[:1]:
        shown = RichTable(box=None, padding=(0, 2, 0, 0))
        kept = [
            number
            for number, name in enumerate(table.columns)
            if number < table.names or not table.brief or name.startswith(table.brief)
        ]
        for number in kept:
            is_name = number < table.names
            shown.add_column(table.columns[number], justify="left" if is_name else "right", no_wrap=not is_name)
        for row in table.rows:
            shown.add_row(*(Text(row[number].text) for number in kept))
        console.print(shown)
        console.print()
    for sentence in report.findings:
        console.print(sentence, highlight=False)


def _verbs(grid: GridFolder) -> list[VerbGroups]:
    """Return the students first, then the teachers."""
    verbs: list[VerbGroups] = []
    for verb in ("distill", "teach"):
        groups = group_cells(grid.of(verb), first=1 + sum(len(own.groups) for own in verbs))
        if groups:
            base = grid.baseline
            found = ([], []) if base is None else (by_setting(groups, base), overall(groups, base))
            verbs.append(VerbGroups(verb, groups, varying(groups), *found))
    return verbs


def _tables(grid: GridFolder, verbs: Sequence[VerbGroups]) -> tuple[list[Table], list[Table], list[Table]]:
    """Return the tables above the figures, below them, and those of single runs."""
    first: list[Table] = []
    following: list[Table] = []
    for own in verbs if grid.is_grid else ():
        into = following if first else first
        baseline = grid.baseline if own.compared else None
        into.append(ranked_table(own.title, own.groups, own.compared, baseline, grid.published))
        if baseline is not None:
            if any(each.settings > 1 for each in own.overall):
                into.append(overall_table(own.title, own.overall, baseline))
            into.append(gains_table(own.title, own.compared, own.names, baseline))
        into.append(selection_table(own.title, own.groups, own.names))
    if grid.published:
        groups = [group for own in verbs for group in own.groups]
        following.append(published_table(groups, grid.published))
    last = [unfinished_table(left)] if (left := [cell for cell in grid.cells if cell.status != "done"]) else []
    last += [cells_table(f"{own.title}: every run", own.groups, own.names) for own in verbs]
    labels = group_cells(grid.of("label"), first=1 + sum(len(own.groups) for own in verbs))
    return first, following, last + ([cells_table(VERBS["label"], labels, varying(labels))] if labels else [])


def _drawn(grid: GridFolder, verbs: Sequence[VerbGroups]) -> dict[str, Any]:
    """Return the figures; of runs without a grid none."""
    from preceptor.reports import grid_figures as figures  # noqa: PLC0415  (slow imports, wanted only here)

    if not grid.is_grid:
        return {}
    drawn: dict[str, Any] = {"curves": [], "diagrams": []}
    for own in verbs:
        keys = [name for name in grid.baseline or () if name in own.groups[0].choices] or own.names[:1]
        drawn["curves"] += figures.learning_curves(own.groups, own.names, keys, own.title)
        drawn["diagrams"] += figures.reliability_diagrams(own.groups, own.names, own.title)
        if own.verb == "distill":
            drawn["teacher_figures"], drawn["teacher_note"] = figures.teacher_figures(grid, keys)
    return drawn


def _origin(grid: GridFolder) -> dict[str, str]:
    """Return the versions that the runs were made with; without a run, those of this process stay."""
    found = dict.fromkeys(
        ", ".join(f"{name} {number}" for name, number in cell.record.versions.items())
        for cell in grid.cells
        if cell.record is not None
    )
    return {"versions": "; ".join(found)} if found else {}


def _as_markdown(heading: Mapping[str, Any], tables: Sequence[Table]) -> str:
    lines = [
        f"# {escape(heading['title'])}",
        escape(heading["subtitle"]),
        *map(escape, heading["findings"]),
        *(f"- {escape(note)}" for note in heading["notes"]),
    ]
    for table in tables:
        lines += [f"## {escape(table.title)}", markdown(table), escape(table.note)]
    return "\n\n".join(lines) + "\n"
