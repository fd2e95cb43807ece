"""The tables that rank groups and compare them with the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from preceptor.experiments.statistics import Comparison
from preceptor.messages import as_duration
from preceptor.reports.grid_folder import Choices, Published
from preceptor.reports.groups import Compared, Group, Overall, agrees, named, published_of, varying
from preceptor.reports.run_tables import choice_entries, done_of, over_seeds, published_entry, tested_epoch
from preceptor.reports.table import (
    NOTHING,
    Entry,
    Table,
    interval,
    mean_std,
    p_value,
    percent,
    plain,
    spread_entry,
)

__all__ = ["gains_table", "overall_table", "ranked_table"]

_BRIEF = ("test accuracy", "n", "gain over", "corrected", "verdict", "published")
_GAINS = (
    "95 % interval alone",
    "corrected 95 %",
    "p (t)",
    "p (t, Holm)",
    "p (Wilcoxon)",
    "p (Wilcoxon, Holm)",
    "verdict",
)
_TESTS = (
    "Pairs have the same seed. Alone: Student's t interval of this comparison by itself. Corrected: the same at the level of "
    "Holm's method over the comparisons of this table. Within noise: the corrected interval includes 0. Wilcoxon: the "
    "signed-rank test, whose p cannot be under 0.05 with fewer than six pairs. Under three pairs: no interval, no test."
)


def ranked_table(
    title: str,
    groups: Sequence[Group],
    compared: Sequence[Compared],
    baseline: Choices | None,
    published: Sequence[Published],
) -> Table:
    """Return groups by mean test accuracy, the highest first; those without a result stand last."""
    names, found = varying(groups), {each.group.number: each for each in compared}
    theirs = {group.number: published_of(group, published) for group in groups}
    scores = {"NLL": "nll", "ECE": "ece"}
    if any(group.test("truth_mse") for group in groups):
        scores["to truth"] = "truth_mse"
    columns = [*names, "test accuracy %", "95 % interval", "n"]
    columns += [f"gain over {named(baseline)}", "corrected 95 %", "verdict"] if baseline else []
    columns += [*(["published %"] if any(theirs.values()) else []), *scores, "training %", "time"]
    rows = []
    for group in sorted(groups, key=_rank):
        accuracy, href = over_seeds(group.test("accuracy")), f"#group-{group.number}"
        row = choice_entries(group, names, href)
        row.append(Entry(mean_std(accuracy), accuracy.mean if accuracy else None, href))
        row.append(plain(interval(accuracy.low, accuracy.high) if accuracy else NOTHING))
        row.append(Entry(done_of(group), len(group.records)))
        if baseline:
            row += _gain(found.get(group.number), is_baseline=agrees(baseline, group.choices))
        if any(theirs.values()):
            row.append(published_entry(theirs[group.number]))
        row += [spread_entry(over_seeds(group.test(metric))) for metric in scores.values()]
        row += [spread_entry(over_seeds(group.train("accuracy")), 100), _time(group)]
        rows.append(row)
    note = _ranked_note(groups, truth="to truth" in scores, is_compared=bool(baseline))
    return Table(title, columns, rows, note, len(names), _BRIEF)


def gains_table(title: str, compared: Sequence[Compared], names: Sequence[str], baseline: Choices) -> Table:
    """Return each setting's gain over the baseline, with its tests."""
    rows = []
    for each in compared:
        href, comparison = f"#group-{each.group.number}", each.comparison
        gain = None if comparison is None else comparison.gain
        pairs = 0 if gain is None else gain.n
        rows.append(
            [
                *choice_entries(each.group, names, href),
                Entry(f"{pairs} of {each.wanted}", pairs),
                Entry(percent(gain.mean if gain else None, sign=True), gain.mean if gain else None, href),
                *_tests(comparison),
            ]
        )
    heading = f"{title}: gains over {named(baseline)}, setting by setting"
    return Table(
        heading,
        (*names, "pairs", "gain", *_GAINS),
        rows,
        f"In percentage points of test accuracy. {_TESTS}",
        len(names),
    )


def overall_table(title: str, found: Sequence[Overall], baseline: Choices) -> Table:
    """Return the gains of the alternatives to the baseline over all settings."""
    rows = [
        [
            *(plain(value) for value in each.choices.values()),
            Entry(str(each.settings), each.settings),
            Entry(f"{each.comparison.gain.n}{'' if each.is_even else ' (uneven)'}", each.comparison.gain.n),
            Entry(percent(each.comparison.gain.mean, sign=True), each.comparison.gain.mean),
            *_tests(each.comparison),
        ]
        for each in found
    ]
    note = (
        "In percentage points of test accuracy. Each seed's gain is first averaged over the settings, so that n counts seeds and "
        "not runs"
        + ("" if all(each.is_even for each in found) else "; uneven: a seed has no pair in some setting")
        + f". {_TESTS}"
    )
    columns = (*baseline, "settings", "seeds", "gain", *_GAINS)
    return Table(f"{title}: gains over {named(baseline)}, over all settings", columns, rows, note, len(baseline))


def _rank(group: Group) -> float:
    accuracy = over_seeds(group.test("accuracy"))
    return 1.0 if accuracy is None else -accuracy.mean


def _ranked_note(groups: Sequence[Group], *, truth: bool, is_compared: bool) -> str:
    kinds = dict.fromkeys(tested_epoch(cell).split(" (")[0] for group in groups for cell in group.cells if cell.record)
    parts = [
        f"Test, {' and '.join(kinds) or 'nothing yet'}; mean ± standard deviation over seeds, 95 % interval of the mean by "
        "Student's t. ECE: 15 equal-width bins."
    ]
    if truth:
        parts.append("To truth: mean squared distance to the true label distribution, summed over classes.")
    if is_compared:
        parts.append(
            "Gain: in percentage points, paired by seed, corrected by Holm's method over the rows of this table."
        )
    parts.append("Training: accuracy in the last epoch, on augmented samples. A rank is no test.")
    return " ".join(parts)


def _time(group: Group) -> Entry:
    seconds = [record.seconds for record in group.records.values()]
    return Entry(as_duration(sum(seconds) / len(seconds)), sum(seconds) / len(seconds)) if seconds else plain(NOTHING)


def _gain(found: Compared | None, *, is_baseline: bool) -> list[Entry]:
    if found is None or found.comparison is None:
        return [plain("baseline" if is_baseline else NOTHING), plain(NOTHING), plain(NOTHING)]
    comparison, href = found.comparison, f"#group-{found.group.number}"
    return [
        Entry(percent(comparison.gain.mean, sign=True), comparison.gain.mean, href),
        plain(interval(comparison.low, comparison.high, sign=True)),
        plain(comparison.verdict),
    ]


def _tests(comparison: Comparison | None) -> list[Entry]:
    if comparison is None:
        return [plain(NOTHING) for _ in _GAINS]
    gain = comparison.gain
    ps = (gain.t_p, comparison.t_p, gain.wilcoxon_p, comparison.wilcoxon_p)
    return [
        plain(interval(gain.low, gain.high, sign=True)),
        plain(interval(comparison.low, comparison.high, sign=True)),
        *(Entry(p_value(p), p) for p in ps),
        plain(comparison.verdict),
    ]
