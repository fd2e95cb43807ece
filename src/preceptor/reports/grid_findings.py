"""A grid's report in words: what the numbers show, and no more, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from preceptor.experiments.statistics import LEAST_SEEDS
from preceptor.messages import as_duration
from preceptor.reports.grid_folder import GridFolder
from preceptor.reports.groups import VERBS, VerbGroups, named
from preceptor.reports.table import percent

__all__ = ["findings_of", "notes_of", "subtitle_of"]


def findings_of(grid: GridFolder, verbs: Sequence[VerbGroups]) -> list[str]:
    """Return what the numbers of the first part show."""
    if not grid.is_grid:
        return ["Runs without a grid.json: they are listed, and nothing is compared."]
    if not verbs or not any(group.records for group in verbs[0].groups):
        return ["No run is done yet."]
    part, said = verbs[0], []
    for each in part.overall:
        comparison, gain = each.comparison, each.comparison.gain
        within = (
            ""
            if comparison.low is None
            else f" [{percent(comparison.low, sign=True)}, {percent(comparison.high, sign=True)}]"
        )
        over = f" over {each.settings} settings" if each.settings > 1 else ""
        seeds = f"{gain.n} seed{'s' * (gain.n != 1)}"
        verdict = f"no interval: fewer than {LEAST_SEEDS} seeds" if comparison.low is None else comparison.verdict
        said.append(
            f"{named(each.choices)} over {named(grid.baseline or {})}: {percent(gain.mean, sign=True)} points of test accuracy"
            f"{within}{over}, {seeds}: {verdict}."
        )
    verdicts = [each.comparison.verdict for each in part.compared if each.comparison is not None]
    if len(verdicts) > 1:
        counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
        said.append(f"Setting by setting: {', '.join(counts)}.")
    best = max((group for group in part.groups if group.records), key=lambda group: _mean(group.test("accuracy")))
    accuracy = percent(_mean(best.test("accuracy")))
    said.append(f"Highest mean test accuracy: {named(best.choices, part.names)}, {accuracy} %. A rank is no test.")
    return said


def notes_of(grid: GridFolder, verbs: Sequence[VerbGroups]) -> list[str]:
    """Return what a reader has to know: cells that are missing, pairs that are missing, no baseline."""
    counts = {
        status: sum(cell.status == status for cell in grid.cells) for status in ("failed", "unfinished", "not started")
    }
    missing = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    notes = (
        [f"Of {len(grid.cells)} cells: {missing}. They are listed below, and no number includes them."]
        if missing
        else []
    )
    if grid.is_grid and grid.baseline is None:
        notes.append("The grid names no baseline (compare: baseline), so nothing is compared.")
    for part in verbs:
        lacking = [each for each in part.compared if (each.comparison.gain.n if each.comparison else 0) < each.wanted]
        if lacking:
            notes.append(
                f"{part.title}: {len(lacking)} of {len(part.compared)} comparisons lack pairs; the column pairs says how many."
            )
    return notes


def subtitle_of(grid: GridFolder) -> str:
    """Return how large the grid is, and the choices that all its students share."""
    records = [cell.record for cell in grid.cells if cell.record is not None]
    counts = [f"{len(grid.of(verb))} {title.lower()}" for verb, title in VERBS.items() if grid.of(verb)]
    seeds = len({cell.seed for cell in grid.cells})
    words = [f"{', '.join(counts)}; {seeds} seed{'s' * (seeds != 1)}"]
    if records:
        samples = sorted({record.test["samples"] for record in records})
        words.append(f"{' or '.join(f'{number:,}' for number in samples)} test samples")
        words.append(f"{as_duration(sum(record.seconds for record in records))} of training")
    constant = {name: value for cell in grid.of("distill")[:1] for name, value in cell.choices.items()}
    same = {
        name: value for name, value in constant.items() if all(c.choices.get(name) == value for c in grid.of("distill"))
    }
    words += [f"{name} {value}" for name, value in same.items()] if grid.is_grid else []
    return "; ".join(words) + "."


def _mean(values: Mapping[int, float]) -> float:
    return sum(values.values()) / len(values)
