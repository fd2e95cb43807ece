"""What a network does with each class, as CSV files of its run folder: classes.csv and confusion.csv."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import TypeVar

from preceptor.assessment import ClassScore
from preceptor.errors import UsageError
from preceptor.files import write_text
from preceptor.reading import read_bytes

__all__ = ["read_classes", "read_confusion", "write_classes", "write_confusion"]

Row = TypeVar("Row")
_CLASSES = ("class", "samples", "right", "accuracy", "predicted", "precision")
_CONFUSION = ("class", "predicted", "samples")


def write_classes(path: Path, names: Sequence[str], scores: Sequence[ClassScore]) -> None:
    """Write a row per class.

    Args:
        path: of the file.
        names: of the classes.
        scores: of each on test.

    Raises:
        RunError: when the disk refuses.
    """
    _write(
        path,
        _CLASSES,
        (
            (name, each.samples, each.right, _short(each.accuracy), each.predicted, _short(each.precision))
            for name, each in zip(names, scores, strict=True)
        ),
    )


def write_confusion(path: Path, names: Sequence[str], counts: Iterable[tuple[int, int, int]]) -> None:
    """Write a row per pair of class and prediction that occurs.

    Args:
        path: of the file.
        names: of the classes.
        counts: see `assessment.confusion`.

    Raises:
        RunError: when the disk refuses.
    """
    _write(path, _CONFUSION, ((names[label], names[predicted], count) for label, predicted, count in counts))


def read_classes(path: Path) -> list[tuple[str, ClassScore]]:
    """Return the classes of a file with their scores.

    Raises:
        UsageError: when it is damaged.
    """

    def parse(row: Sequence[str]) -> tuple[str, ClassScore]:
        name, samples, right, _, predicted, _ = row
        return name, ClassScore(int(samples), int(predicted), int(right))

    return _read(path, _CLASSES, parse)


def read_confusion(path: Path) -> list[tuple[str, str, int]]:
    """Return (class, prediction, samples) of each pair of a file.

    Raises:
        UsageError: when it is damaged.
    """

    def parse(row: Sequence[str]) -> tuple[str, str, int]:
        name, predicted, count = row
        return name, predicted, int(count)

    return _read(path, _CONFUSION, parse)


def _short(share: float | None) -> str:
    return "" if share is None else f"{share:.4f}"


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, out.getvalue())


def _read(path: Path, columns: Sequence[str], parse: Callable[[Sequence[str]], Row]) -> list[Row]:
    try:
        first, *rows = csv.reader(StringIO(read_bytes(path).decode(), newline=""))
        if tuple(first) != tuple(columns):
            raise ValueError(f"its columns are not {', '.join(columns)}")
        return [parse(row) for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
