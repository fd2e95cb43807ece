"""The tables of single runs: what was tested, every cell, published numbers beside ours."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from preceptor.artifacts.record import RunRecord
from preceptor.escaping import link
from preceptor.experiments.statistics import Spread, spread
from preceptor.messages import as_duration
from preceptor.reports.grid_folder import Cell, Published
from preceptor.reports.groups import Group, named, published_of
from preceptor.reports.table import NOTHING, Entry, Table, mean_std, plain, spread_entry

__all__ = [
    "best_epoch",
    "cells_table",
    "choice_entries",
    "done_of",
    "over_seeds",
    "published_entry",
    "published_table",
    "selection_table",
    "tested_epoch",
    "unfinished_table",
]


def selection_table(title: str, groups: Sequence[Group], names: Sequence[str]) -> Table:
    """Return what was tested beside the last and the best epoch on validation."""
    rows = []
    for group in groups:
        if not group.records:
            continue
        best = [each for each in map(best_epoch, group.records.values()) if each is not None]
        last = [
            row["accuracy"]
            for each in group.records.values()
            if (row := each.history[-1].get("validation")) is not None and row
        ]
        epochs = sorted(epoch for epoch, _ in best)
        own = {cell.seed: tested_epoch(cell) for cell in group.cells if cell.record is not None}
        rows.append(
            [
                *choice_entries(group, names, f"#group-{group.number}"),
                spread_entry(over_seeds(group.test("accuracy")), 100),
                plain("; ".join(dict.fromkeys(own.values()))),
                spread_entry(spread(last) if last else None, 100),
                spread_entry(spread([value for _, value in best]) if best else None, 100),
                Entry(
                    NOTHING if not epochs else NOTHING.join(dict.fromkeys([str(epochs[0]), str(epochs[-1])])),
                    epochs[0] if epochs else None,
                ),
            ]
        )
    columns = (*names, "test %", "test is of", "validation, last epoch %", "validation, best epoch %", "best epochs")
    note = (
        "Test is read once per run, on the weights that stop_at names; a test number of another epoch needs a cell of its own "
        "(stop_at: [last, best_val_accuracy]). The best of many epochs on validation is optimistic: it was chosen there."
    )
    return Table(f"{title}: last and best epoch", columns, rows, note, len(names))


def published_table(groups: Sequence[Group], published: Sequence[Published]) -> Table:
    """Return each published number beside ours."""
    rows = []
    for each in published:
        own: list[Group | None] = [group for group in groups if published_of(group, published) == each]
        for group in own or [None]:
            accuracy = over_seeds(group.test("accuracy")) if group else None
            difference = None if accuracy is None else 100 * accuracy.mean - each.accuracy
            href = f"#group-{group.number}" if group else None
            rows.append(
                [
                    plain(named(group.choices if group else each.where)),
                    published_entry(each),
                    Entry(mean_std(accuracy) if group else "no such cell", accuracy.mean if accuracy else None, href),
                    Entry(NOTHING if group is None else done_of(group), len(group.records) if group else None),
                    Entry(NOTHING if difference is None else f"{difference:+.2f}", difference),
                    Entry(each.source, href=each.source if each.source.startswith(("http://", "https://")) else None),
                ]
            )
    columns = ("setting", "published %", "ours %", "our n", "difference", "source")
    note = "Others' runs differ in more than the seed: a difference is no test."
    return Table("The published number beside ours", columns, rows, note)


def unfinished_table(cells: Sequence[Cell]) -> Table:
    """Return the cells without a result: what became of each, and the command that goes on with it."""
    rows = [
        [
            Entry(f"{cell.verb} {named(cell.choices)}, seed {cell.seed}"),
            plain(cell.status),
            plain(cell.error or ""),
            _run_entry(cell),
        ]
        for cell in cells
    ]
    return Table(
        "Not done", ("cell", "status", "what is known", "run"), rows, "No number on this page includes them.", 4
    )


def cells_table(title: str, groups: Sequence[Group], names: Sequence[str]) -> Table:
    """Return every cell with its numbers, its run and its command."""
    scores = {"accuracy": ("test accuracy %", 100, 2), "nll": ("NLL", 1, 4), "ece": ("ECE", 1, 4)}
    if any(group.test("truth_mse") for group in groups):
        scores["truth_mse"] = ("to truth", 1, 4)
    devices = {_device(record) for group in groups for record in group.records.values()}
    columns = [*names, "seed", "status", *(column for column, _, _ in scores.values()), "tested", "time", "images/s"]
    columns += [*(["device"] if len(devices) > 1 else []), "run"]
    rows = []
    for group in groups:
        for number, cell in enumerate(group.cells):
            record = cell.record
            href = link(f"{cell.run}/result.json") if record else None
            first, *others = choice_entries(group, names, None)
            row = [Entry(first.text, anchor=None if number else f"group-{group.number}"), *others]
            row += [Entry(str(cell.seed), cell.seed), plain(cell.status)]
            for metric, (_, scale, digits) in scores.items():
                value = record.test.get(metric) if record else None
                row.append(Entry(NOTHING if value is None else f"{scale * value:.{digits}f}", value, href))
            if record:
                row.append(plain(tested_epoch(cell)))
                row.append(Entry(as_duration(record.seconds), record.seconds))
                row.append(Entry(f"{record.images_per_second:,.0f}", record.images_per_second))
            else:
                row += [plain(NOTHING)] * 3
            if len(devices) > 1:
                row.append(plain(_device(record) if record else NOTHING))
            row.append(_run_entry(cell))
            rows.append(row)
    note = (
        "Numbers lead to the run's record; the command below each run makes it again. Time and images/s: of training"
        + (f", on {devices.pop()}." if len(devices) == 1 else ".")
    )
    return Table(title, columns, rows, note, len(names))


def tested_epoch(cell: Cell) -> str:
    """Return whose weights were tested, in words."""
    assert cell.record is not None
    epoch, rule = cell.record.selected_epoch, cell.stop_at
    if rule is None or rule == "last":
        return f"last epoch ({epoch})"
    if isinstance(rule, int):
        return f"epoch {epoch}"
    return f"{str(rule).replace('best_val_', 'best validation ')} (epoch {epoch})"


def best_epoch(record: RunRecord) -> tuple[int, float] | None:
    """Return the epoch of the highest validation accuracy, and that accuracy; None without validation."""
    rows = [row for row in record.history if row.get("validation")]
    if not rows:
        return None
    best = max(rows, key=lambda row: row["validation"]["accuracy"])
    return int(best["epoch"]), float(best["validation"]["accuracy"])


def choice_entries(group: Group, names: Sequence[str], href: str | None) -> list[Entry]:
    """Return a group's choices as entries, the first of them a link."""
    return [
        Entry(str(group.choices.get(name, NOTHING)), href=None if number else href) for number, name in enumerate(names)
    ] or [Entry("all", href=href)]


def over_seeds(values: dict[int, float]) -> Spread | None:
    """Return mean and spread over seeds; None of no value."""
    return spread([*values.values()]) if values else None


def done_of(group: Group) -> str:
    """Return how many of a group's cells are done, in words."""
    done, there = len(group.records), len(group.cells)
    if done == there:
        return str(done)
    failed = sum(cell.status == "failed" for cell in group.cells)
    return f"{done} of {there}" + (f", {failed} failed" if failed else "")


def published_entry(each: Published | None) -> Entry:
    """Return a published number as an entry."""
    if each is None:
        return plain(NOTHING)
    std = "" if each.std is None else f" ± {each.std:g}"
    count = "" if each.n is None else f" (n {each.n})"
    return Entry(
        f"{each.accuracy:g}{std}{count}",
        each.accuracy,
        each.source if each.source.startswith(("http://", "https://")) else None,
    )


def _run_entry(cell: Cell) -> Entry:
    place = link(f"{cell.run}/result.json" if cell.record else cell.run)
    return Entry(cell.id, href=None if cell.status == "not started" else place, code=shlex.join(cell.command))


def _device(record: RunRecord) -> str:
    return f"{record.device}, {record.precision}"
