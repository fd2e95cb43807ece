"""The page of one run: its scores beside its teacher's, its pictures, its classes, and how to make it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preceptor.artifacts.class_files import read_classes, read_confusion
from preceptor.artifacts.record import RunRecord
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment import ClassScore
from preceptor.files import write_text
from preceptor.messages import as_duration, first_few
from preceptor.reports.beside import beside_table, difference, find_alone
from preceptor.reports.grid_report import Report
from preceptor.reports.page import write_page
from preceptor.reports.table import NOTHING, Entry, Table, percent, plain

__all__ = ["summarise_run", "write_run_page"]

_MOST_CLASSES = 200  # in the table; classes.csv has all
_MOST_ROWS = 3  # of what a class is taken for
_PERCENT = {"accuracy", "top5", "exact_match", "balanced_accuracy", "prevalence", "agreement", "ece"}
_INITIALS = {"nll", "ece", "kl", "mse", "auroc", "f1"}
_PARTS = ("agreement", "top5_contains", "top5_overlap", "total_variation")  # shares, by the first word of their names


def summarise_run(path: Path) -> Report:
    """Return what a finished run's page says above its pictures; nothing is written.

    Raises:
        UsageError: when there is no finished run.
    """
    folder = RunFolder(path)
    record = folder.read_record()
    alone = find_alone(folder.path, record)
    classes = folder.classes if folder.classes.exists() else None
    return Report(folder.page, None, classes, difference(record, alone), (beside_table(record, alone),))


def write_run_page(path: Path) -> Report:
    """Write report.html into the folder of a finished run, and its figures into pictures/.

    Raises:
        UsageError: when there is no finished run.
        RunError: when the disk refuses.
    """
    from preceptor.reports.run_figures import run_figures  # noqa: PLC0415  (slow imports, wanted only here)

    folder, summary = RunFolder(path), summarise_run(path)
    record, config = folder.read_record(), folder.read_config()
    confusion = read_confusion(folder.confusion) if folder.confusion.exists() else []
    drawn = run_figures(record, confusion)
    folder.pictures.mkdir(exist_ok=True)
    for figure in drawn:
        write_text(folder.pictures / f"{figure.name}.svg", str(figure.svg))
    tables = [_classes_table(read_classes(folder.classes), confusion, record)] if folder.classes.exists() else []
    content = {
        "title": f"{_model(record)} on {_short(str(config['data']['name']))}",
        "subtitle": _subtitle(record, config),
        "findings": summary.findings,
        "beside": summary.tables[0],
        "figures": drawn,
        "tables": [*_agreement(record), *tables, _numbers_table(record)],
        "files": _files(folder),
        "config": folder.config.read_text(encoding="utf-8"),
        "command": record.command,
        "versions": ", ".join(f"{name} {number}" for name, number in record.versions.items()),
    }
    write_page(content, folder.page, template="run.html")
    return summary


def _model(record: RunRecord) -> str:
    return _short(str(record.model["name"])).rsplit(".", 1)[-1]


def _short(name: str) -> str:
    """Return a name without the folders before it."""
    kind, colon, place = name.partition(":")
    return f"{kind}:{Path(place).name}" if colon and "/" in place else name


def _subtitle(record: RunRecord, config: dict[str, Any]) -> str:
    section = config["method" if record.kind == "distill" else "objective"] or {}
    terms = [str(section["name"])] if section.get("name") else [name for name in section if name != "name"]
    source = "" if record.teacher is None else f" from {record.teacher.name}"
    words = [
        f"{'Distilled' if record.kind == 'distill' else 'Trained'} by {first_few(terms)}{source}",
        f"{len(record.history)} epochs in {as_duration(record.seconds)}",
        f"{record.device}, {record.precision}",
        f"seed {record.seed}",
        f"weights of epoch {record.selected_epoch}",
        record.finished[:10],
    ]
    return ", ".join(words) + "."


def _agreement(record: RunRecord) -> list[Table]:
    """Return how much alike student and teacher are."""
    if record.teacher is None or record.teacher.fidelity is None:
        return []
    rows = [
        [plain(_words(name)), _number(name, value)]
        for name, value in record.teacher.fidelity.items()
        if value is not None
    ]
    note = (
        "On test. Agreement: share of equal choices, also where the teacher is right, or wrong. KL (of the teacher to the "
        "student) and Jensen-Shannon in nats; softened: at temperature 4. Agreement is coarse: read it with the KL."
    )
    return [Table("Agreement with the teacher", ("measure", "value"), rows, note)]


def _classes_table(
    classes: Sequence[tuple[str, ClassScore]], confusion: Sequence[tuple[str, str, int]], record: RunRecord
) -> Table:
    """Return the classes, the least accurate first, with what they are taken for."""
    mistakes: dict[str, list[tuple[int, str]]] = {}
    for name, predicted, count in confusion:
        if name != predicted:
            mistakes.setdefault(name, []).append((count, predicted))
    ordered = sorted(classes, key=lambda each: (each[1].accuracy is None, each[1].accuracy or 0.0))
    is_multilabel = record.task == "multilabel"
    rows = []
    for name, score in ordered[:_MOST_CLASSES]:
        taken = sorted(mistakes.get(name, ()), key=lambda each: -each[0])
        words = first_few([f"{other} ({count})" for count, other in taken], _MOST_ROWS)
        row = [
            plain(name),
            Entry(f"{score.samples:,}", score.samples),
            Entry(percent(score.accuracy, 1), score.accuracy),
        ]
        row.append(Entry(percent(score.precision, 1), score.precision))
        rows.append(row if is_multilabel else [*row, plain(words or NOTHING)])
    columns = ("class", "samples", "recall %" if is_multilabel else "accuracy %", "precision %")
    rest = (
        f" The {_MOST_CLASSES} lowest of {len(classes)}; classes.csv has all." if len(classes) > _MOST_CLASSES else ""
    )
    note = (
        "On test. Accuracy: share of a class's samples that are recognised. "
        f"Precision: share of its predictions that are right.{rest}"
    )
    return Table("Each class", columns if is_multilabel else (*columns, "taken for (samples)"), rows, note)


def _numbers_table(record: RunRecord) -> Table:
    splits = (record.test_name, record.test), *((("validation", record.validation),) if record.validation else ())
    rows = [[plain(_words(name)), *(_number(name, scores.get(name)) for _, scores in splits)] for name in record.test]
    return Table("Every number", ("measure", *(name for name, _ in splits)), rows, "Validation: of the same weights.")


def _words(name: str) -> str:
    return " ".join(word.upper() if word in _INITIALS else word for word in name.split("_"))


def _number(name: str, value: float | None) -> Entry:
    if value is None:
        return plain(NOTHING)
    if name == "samples":
        return Entry(f"{value:,.0f}", value)
    is_share = name.removeprefix("truth_") in _PERCENT or name.startswith(_PARTS)
    return Entry(f"{100 * value:.2f} %" if is_share else f"{value:.4f}", value)


def _files(folder: RunFolder) -> list[dict[str, str]]:
    """Return the files of a run that are there, with what they hold."""
    known = (
        (folder.result, "every number, per epoch too"),
        (folder.classes, "a row per class"),
        (folder.confusion, "a row per class and prediction"),
        (folder.pictures, "the pictures above, as SVG"),
        (folder.config, "the configuration: runs again with --config"),
        (folder.metrics, "a row per epoch"),
        (folder.weights, "the network"),
    )
    return [{"href": path.name, "name": path.name, "words": words} for path, words in known if path.exists()]
