"""A table, before it becomes HTML, Markdown or lines in a terminal; and how numbers are written in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from preceptor.escaping import markdown as escape_markdown
from preceptor.escaping import markdown_link
from preceptor.experiments.statistics import Spread

__all__ = [
    "NOTHING",
    "Entry",
    "Table",
    "interval",
    "markdown",
    "mean_std",
    "p_value",
    "percent",
    "plain",
    "spread_entry",
]

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of a table.

    Attributes:
        text: that is shown.
        sort: value that rows are sorted by; None: the text.
        href: where it leads.
        code: a command, folded away below the text.
        anchor: its name as a target of links.
    """

    text: str
    sort: float | None = None
    href: str | None = None
    code: str | None = None
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below headings.

    Attributes:
        title: of the section.
        columns: headings.
        rows: as long as the headings.
        note: below it: units, and how it is to be read.
        names: how many of the first columns are words, not numbers.
        brief: how the columns begin that a terminal has room for, besides the names; empty: all.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    note: str
    names: int = 1
    brief: tuple[str, ...] = ()


def plain(text: object) -> Entry:
    """Return an entry of text alone."""
    return Entry(str(text))


def percent(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Return a fraction in percent, without the unit.

    Examples:
        >>> percent(0.61234), percent(0.0012, sign=True), percent(None)
        ('61.23', '+0.12', '–')
    """
    if value is None:
        return NOTHING
    return f"{100 * value:{'+' if sign else ''}.{digits}f}"


def mean_std(value: Spread | None, scale: float = 100, digits: int = 2) -> str:
    """Return mean ± standard deviation; of one value the value.

    Examples:
        >>> mean_std(Spread(0.5, 0.01, 3)), mean_std(Spread(0.5, None, 1)), mean_std(None)
        ('50.00 ± 1.00', '50.00', '–')
    """
    if value is None:
        return NOTHING
    mean = f"{scale * value.mean:.{digits}f}"
    return mean if value.std is None else f"{mean} ± {scale * value.std:.{digits}f}"


def spread_entry(value: Spread | None, scale: float = 1) -> Entry:
    """Return mean ± standard deviation as an entry: in percent with two digits, else with three."""
    return Entry(mean_std(value, scale, 2 if scale == 100 else 3), value.mean if value else None)


def interval(low: float | None, high: float | None, *, sign: bool = False) -> str:
    """Return an interval of fractions in percent.

    Examples:
        >>> interval(-0.001, 0.02, sign=True), interval(None, None)
        ('[-0.10, +2.00]', 'none: n < 3')
    """
    if low is None or high is None:
        return "none: n < 3"
    return f"[{percent(low, sign=sign)}, {percent(high, sign=sign)}]"


def p_value(p: float | None) -> str:
    """Return a p-value.

    Examples:
        >>> p_value(0.01234), p_value(0.00001), p_value(None)
        ('0.012', '< 0.001', '–')
    """
    return NOTHING if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def markdown(table: Table) -> str:
    """Return a table as Markdown; links within the page become text, commands are left out."""
    lines = [
        f"| {' | '.join(map(escape_markdown, table.columns))} |",
        f"|{'|'.join('---' if number < table.names else '---:' for number, _ in enumerate(table.columns))}|",
    ]
    for row in table.rows:
        texts = [
            markdown_link(entry.text, entry.href)
            if entry.href and not entry.href.startswith("#")
            else escape_markdown(entry.text)
            for entry in row
        ]
        lines.append(f"| {' | '.join(texts)} |")
    return "\n".join(lines)
