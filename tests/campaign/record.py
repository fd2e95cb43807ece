"""The figures of the campaign: one JSON file, written as they come, and the page that is made of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from campaign.judge import BAD, GOOD

__all__ = ["Record", "page", "product"]

_LISTS = ("mutations", "kills", "full_disk")
_SHOWN = 60  # failures that the page lists
_SAME = {"kills": {"same"}, "full_disk": {"said and resumed", "not needed"}}
Row = dict[str, Any]


def product(sources: Path) -> str:
    """Return 12 digits of the library's sources."""
    digest = hashlib.sha256()
    for path in sorted(sources.rglob("*.py")):
        digest.update(str(path.relative_to(sources)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class Record:
    """The file.

    Args:
        path: of the file; rows that are there are kept.
        about: what the rows belong to: the product, the seed, versions.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], *, is_new: bool = False) -> None:
        self._path = path
        self.values: dict[str, Any] = {"about": dict(about), **{name: [] for name in _LISTS}, "soak": None}
        if path.exists() and not is_new:
            self.values |= json.loads(path.read_text(encoding="utf-8"))

    def rows(self, part: str) -> list[Row]:
        """Return the rows of a part."""
        rows: list[Row] = self.values[part]
        return rows

    def numbers(self, part: str) -> set[int]:
        """Return the numbers that are done."""
        return {row["n"] for row in self.rows(part)}

    def write(self) -> None:
        """Write the file, a row per line."""
        parts = []
        for name, value in self.values.items():
            if name in _LISTS:
                rows = sorted(value, key=lambda row: row["n"])
                text = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]" if rows else "[]"
            else:
                text = json.dumps(value, indent=1).replace("\n", "\n ")
            parts.append(f' "{name}": {text}')
        temporary = self._path.with_name(f".{self._path.name}.new")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
        temporary.replace(self._path)


def failures(values: Mapping[str, Any]) -> list[Row]:
    """Return the rows that miss the goals."""
    mutations = [row for row in values["mutations"] if row["outcome"] in BAD]
    others = [row for part, good in _SAME.items() for row in values[part] if row["outcome"] not in good]
    return [*mutations, *others]


def page(values: Mapping[str, Any]) -> str:
    """Return the page of a record, in Markdown."""
    about = values["about"]
    made = [row for row in values["mutations"] if row["outcome"] != "not applicable"]
    missed = failures(values)
    versions = ", ".join(f"{name} {each}" for name, each in about["versions"].items())
    numbers = f"{len(made):,} damaged files, {len(values['kills'])} kills, {len(values['full_disk'])} full disks"
    lines = [
        "# Reliability",
        "",
        "Written by `python benchmarks/reliability.py` from `campaign.json`. Inputs that once gave a wrong answer:",
        "[right answers](right-answers.md).",
        "",
        f"Seed {about['seed']}, {versions}; sources `{about['product']}`.",
        "",
        f"**{numbers}; {len(missed)} miss the goals.**",
        "",
        *_mutations(made),
        *_kills("Kills", "killed, then carried out once more", values["kills"], "same"),
        *_kills(
            "Full disk",
            f"no room from one change of a file on ({about.get('full_disk_by') or 'not run'}), then carried out with room",
            values["full_disk"],
            "said and resumed",
        ),
        *_soak(values["soak"]),
        *_missed(missed),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _mutations(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    columns = [*GOOD, "missed"]
    lines = ["## Damaged files", "", *_table("what is read by which verb", _by(rows, "file"), columns)]
    lines += ["", *_table("damage", _by(rows, "kind"), columns), ""]
    lines += [f"- **{word}**: {meaning}." for word, meaning in (GOOD | BAD).items()]
    return [*lines, ""]


def _kills(title: str, what: str, rows: Sequence[Row], first: str) -> list[str]:
    if not rows:
        return []
    outcomes = [first, *sorted({row["outcome"] for row in rows} - {first})]
    lines = [
        f"## {title}",
        "",
        f"Each command was {what}: same weights, same history."
        if title == "Kills"
        else f"{what[0].upper()}{what[1:]}.",
        "",
    ]
    counted = {
        name: Counter(row["outcome"] for row in rows if row["scenario"] == name) for name in _names(rows, "scenario")
    }
    lines += _counts("command", counted, outcomes)
    left = sum("left" in row for row in rows)
    return [
        *lines,
        "",
        *([f"After {left} of them a temporary file of the killed process was still there.", ""] if left else []),
    ]


def _soak(soak: Mapping[str, Any] | None) -> list[str]:
    if not soak or "epochs" not in soak:
        return []
    files = soak["open_files"]
    return [
        "## Soak",
        "",
        f"One process that trained, distilled, evaluated and predicted for {soak['minutes']:g} minutes,",
        f"{soak['epochs']:,} epochs in {soak['cycles']:,} cycles: **{soak['outcome']}**. Resident memory was",
        f"{soak['mib_second_fifth']:,} MiB in the second fifth of the time and {soak['mib_last_fifth']:,} MiB in the last",
        f"({soak['mib_per_1000_epochs']:+} MiB per 1,000 epochs), open files {files[0]} and {files[1]}.",
        "",
    ]


def _missed(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    lines = ["## Missed", "", f"The first {_SHOWN} of {len(rows)}." if len(rows) > _SHOWN else "", ""]
    lines += ["| | outcome | what was done | command | said |", "|---|---|---|---|---|"]
    for row in rows[:_SHOWN]:
        cells = [
            row.get("file", row.get("scenario")),
            row["outcome"],
            row.get("what", ""),
            f"`{row.get('command', '')}`",
            row.get("said", ""),
        ]
        lines.append(f"| {' | '.join(_cell(str(cell)) for cell in cells)} |")
    return lines


def _by(rows: Sequence[Row], key: str) -> dict[str, Counter[str]]:
    return {
        name: Counter("missed" if row["outcome"] in BAD else row["outcome"] for row in rows if row[key] == name)
        for name in _names(rows, key)
    }


def _table(head: str, counted: Mapping[str, Counter[str]], columns: Iterable[str]) -> list[str]:
    return _counts(head, counted, [column for column in columns if any(count[column] for count in counted.values())])


def _counts(head: str, counted: Mapping[str, Counter[str]], columns: Sequence[str]) -> list[str]:
    lines = [f"| {head} | all | {' | '.join(columns)} |", "|---|" + "---:|" * (len(columns) + 1)]
    for name, count in counted.items():
        cells = [str(count[column] or "") for column in columns]
        lines.append(f"| {name} | {sum(count.values())} | {' | '.join(cells)} |")
    return lines


def _names(rows: Sequence[Row], key: str) -> list[str]:
    return sorted({row[key] for row in rows})


def _cell(text: str) -> str:
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable.replace("|", "\\|").replace("<", "&lt;")[:160]
