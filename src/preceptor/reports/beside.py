"""A finished run as one table: the student beside its teacher, and beside the same network trained alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from preceptor.artifacts.record import RunRecord
from preceptor.artifacts.run_folder import RunFolder
from preceptor.errors import UsageError
from preceptor.escaping import link
from preceptor.messages import as_bytes, as_count, as_milliseconds
from preceptor.reports.table import NOTHING, Entry, Table, percent, plain

__all__ = ["Alone", "beside_table", "difference", "find_alone"]

_MOST_FOLDERS = 300  # beside the run, that are looked at
_SCORES = {  # metric: column, in percent
    "accuracy": ("accuracy %", True),
    "exact_match": ("exact match %", True),
    "nll": ("NLL", False),
    "ece": ("ECE %", True),
    "truth_mse": ("to truth", False),
}


@dataclass(frozen=True, slots=True)
class Alone:
    """The network of a student, trained by cross-entropy without a teacher.

    Attributes:
        path: of its run, as seen from the student's.
        record: of its run.
        name: of its folder.
    """

    path: str
    record: RunRecord
    name: str


def find_alone(folder: Path, record: RunRecord) -> Alone | None:
    """Return the run beside a student's that trained the same network on the same data without a teacher.

    Args:
        folder: of the student's run; its neighbours are looked at.
        record: of the student's run.

    Returns:
        Of several, one with the student's seed if there is one; None: there is none.
    """
    if record.kind != "distill":
        return None
    parent, found = folder.resolve().parent, None
    for config in islice(parent.glob("*/config.yaml"), _MOST_FOLDERS):
        if not _begins_with(config, b"kind: teach"):  # most are something else, and YAML is slow
            continue
        try:
            other = RunFolder(config.parent)
            terms = other.read_config().get("objective") or {}
            its = other.read_record()
        except UsageError:
            continue  # unfinished, or of another version
        is_alone = (
            isinstance(terms, Mapping) and {*terms} - {"name"} <= {"cross_entropy"} and its.start_fingerprint is None
        )
        if is_alone and (its.model, its.data_fingerprint) == (record.model, record.data_fingerprint):
            found = Alone(f"../{config.parent.name}", its, config.parent.name)
            if its.seed == record.seed:
                return found
    return found


def beside_table(record: RunRecord, alone: Alone | None) -> Table:
    """Return test scores, size and speed, a row each for teacher, student and the student alone.

    Args:
        record: of the run.
        alone: of the student's network.
    """
    scores = [(name, *words) for name, words in _SCORES.items() if record.test.get(name) is not None]
    rows: list[list[Entry]] = []

    def add(label: Entry, test: Mapping[str, Any], size: Sequence[Entry]) -> None:
        numbers = []
        for name, _, is_percent in scores:
            value = test.get(name)
            text = percent(value, 1) if is_percent else NOTHING if value is None else f"{value:.3f}"
            numbers.append(Entry(text, value))
        rows.append([label, *numbers, *size])

    if record.teacher is not None:
        teacher = record.teacher
        add(plain("teacher"), teacher.test, _size(teacher.parameters, teacher.bytes, teacher.latency))
    own = "student" if record.kind == "distill" else "network"
    add(plain(own), record.test, _size(record.parameters, record.bytes, record.latency))
    if alone is not None:
        label = Entry(f"alone ({alone.name})", href=link(f"{alone.path}/result.json"))
        add(label, alone.record.test, [plain(NOTHING)] * 3)
    columns = ("", *(column for _, column, _ in scores), "params", "file", "latency b1 / b64 ms")
    return Table("On test", columns, rows, _note(record, alone))


def difference(record: RunRecord, alone: Alone | None) -> tuple[str, ...]:
    """Return sentences on what the table shows.

    Args:
        record: of the run.
        alone: of the student's network.
    """
    own = _accuracy(record)
    name = "The student" if record.kind == "distill" else "The network"
    words = f"{name} predicts {percent(own, 1)} % of {record.test['samples']:,} {record.test_name} samples right"
    if record.teacher is not None:
        words += f", its teacher {percent(record.teacher.test['accuracy'], 1)} %"
    if alone is None:
        return (f"{words}.",)
    before = _accuracy(alone.record)
    return (
        f"{words}; alone it predicts {percent(before, 1)} % ({100 * (own - before):+.1f} points with the teacher).",
        "One run each is no test: a grid repeats both over seeds (preceptor grid).",
    )


def _accuracy(record: RunRecord) -> float:
    accuracy: float | None = record.test["accuracy"]
    assert accuracy is not None, "a record without accuracy is refused where it is read"
    return accuracy


def _size(parameters: int, size: int | None, latency: Mapping[int, float] | None) -> list[Entry]:
    times = NOTHING if not latency else " / ".join(as_milliseconds(seconds) for _, seconds in sorted(latency.items()))
    return [
        Entry(as_count(parameters), parameters) if parameters else Entry(NOTHING, None),  # a teacher that is no module
        Entry(as_bytes(size), size) if size else Entry(NOTHING, None),
        Entry(times, latency[min(latency)] if latency else None),
    ]


def _note(record: RunRecord, alone: Alone | None) -> str:
    words = ["Read once, after the last epoch. NLL in nats; ECE: expected calibration error, 15 bins."]
    if "truth_mse" in record.test:
        words.append("To truth: mean squared distance to the true label distribution, summed over classes.")
    if record.latency:
        words.append(
            f"Latency: a forward pass of 1 and of 64 samples in float32 on {record.device}, the median of ten."
        )
    if alone is not None:
        words.append(f"Alone: the same network trained by cross-entropy for {len(alone.record.history)} epochs.")
    return " ".join(words)


def _begins_with(path: Path, start: bytes) -> bool:
    try:
        with path.open("rb") as handle:
            return handle.read(len(start)) == start
    except OSError:
        return False
