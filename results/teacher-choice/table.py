"""The table, the figures and README.md of what run.py measured; no training."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from preceptor.experiments.statistics import paired_gain
from preceptor.reports import figures

__all__ = ["write"]

HERE = Path(__file__).parent
RESAMPLES = 2000
# What is good in a teacher, as the criterion has it: +1: more of it.
CRITERIA = {
    "accuracy": 1,
    "NLL": -1,
    "NLL at T": -1,
    "NLL at 4": -1,
    "Brier": -1,
    "Brier at T": -1,
    "Brier's resolution": 1,
    "Brier's reliability": -1,
    "ECE": -1,
    "class-wise ECE": -1,
    "ECE at T": -1,
    "entropy": 1,
    "sharpness": -1,
    "T": -1,
    "distance to truth": -1,
    "distance to truth at T": -1,
    "KL to truth": -1,
    "KL to truth at T": -1,
}
SHOWN = ("accuracy", "NLL", "NLL at T", "Brier", "ECE", "distance to truth", "distance to truth at T")
OTHER_OUTPUTS = "cross-entropy's other outputs"
Table = NDArray[np.float64]


def write(rows: Sequence[dict[str, Any]]) -> None:
    lines: list[str] = []
    for data in dict.fromkeys(row["data"] for row in rows):
        here = [row for row in rows if row["data"] == data]
        lines += [f"## {data}", "", *teachers(here), "", *correlations(here), ""]
        draw(here, data)
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n".join(lines).rstrip()))


def teachers(rows: Sequence[dict[str, Any]]) -> list[str]:
    columns = [key for key in SHOWN if key in rows[0]["validation"]]
    lines = [
        "| teacher | student accuracy % | over cross_entropy's student, paired, 95 % interval | train accuracy % "
        f"| {' | '.join(columns)} |",
        "|---" * (4 + len(columns)) + "|",
    ]
    kinds = sorted(kinds_of(rows), key=lambda kind: -mean(rows, kind, student))
    for kind in kinds:
        accuracy = [100 * score for score in by_seed(rows, kind).values()]
        cells = [f"{mean(rows, kind, criterion(key)):.3f}" for key in columns]
        lines.append(
            f"| {kind} | {statistics.fmean(accuracy):.2f} ±{statistics.stdev(accuracy):.2f} | {over_baseline(rows, kind)} "
            f"| {100 * mean(rows, kind, lambda row: row['train accuracy']):.1f} | {' | '.join(cells)} |"
        )
    return lines


def over_baseline(rows: Sequence[dict[str, Any]], kind: str) -> str:
    gain = paired_gain(by_seed(rows, kind), by_seed(rows, "cross_entropy"))
    if kind == "cross_entropy" or gain is None or gain.low is None or gain.high is None:
        return ""
    return f"{100 * gain.mean:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"


def correlations(rows: Sequence[dict[str, Any]]) -> list[str]:
    keys = [key for key in CRITERIA if key in rows[0]["validation"]]
    students, values = averaged(rows, keys, "validation")
    spearman, kendall = intervals(students, values)
    own = [row for row in rows if row["group"] != OTHER_OUTPUTS]
    few_students, few = averaged(rows, keys, "few")
    own_students, own_values = averaged(own, keys, "validation")
    gains = {key: picks(rows, key) for key in keys}
    first = leaders(students, values)
    best = statistics.fmean(gain for gain in picks(rows, None))
    count, small = len(kinds_of(rows)), len(kinds_of(own))
    lines = [
        f"| criterion on validation, what is good | Spearman, {count} teachers | Kendall | leads in % of resamples "
        f"| Spearman, the {small} with runs of their own | Spearman on 200 samples | gain over a random pick, points |",
        "|---" * 7 + "|",
    ]
    order = sorted(range(len(keys)), key=lambda place: -spearman[place][0])
    for place in order:
        key, gain = keys[place], gains[keys[place]]
        lines.append(
            f"| {key}, {'high' if CRITERIA[key] > 0 else 'low'} | {shown(spearman[place])} | {shown(kendall[place])} "
            f"| {100 * first[place]:.0f} | {rank_correlation(own_students, own_values[:, place]):+.2f} "
            f"| {rank_correlation(few_students, few[:, place]):+.2f} "
            f"| {100 * statistics.fmean(gain):+.2f} ±{100 * statistics.stdev(gain):.2f} |"
        )
    alike = statistics.fmean(
        rank_correlation(students_of(rows, one), students_of(rows, other))
        for one, other in itertools.combinations(sorted({row["seed"] for row in rows}), 2)
    )
    return [
        *lines,
        "",
        f"The best pick of each seed would gain {100 * best:+.2f} points. The students' own ranks of one seed correlate "
        f"with those of another at {alike:+.2f} (mean of all pairs of seeds).",
    ]


def students_of(rows: Sequence[dict[str, Any]], seed: int) -> Table:
    return np.array([by_seed(rows, kind)[seed] for kind in kinds_of(rows)])


def intervals(students: Table, values: Table) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    """Return each criterion's rank correlations, with 95 % intervals over resampled teachers."""
    found = []
    for correlation in (rank_correlation, kendall_correlation):
        drawn = [
            [correlation(students[pick], values[pick, place]) for place in range(values.shape[1])]
            for pick in resamples(len(students))
        ]
        low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
        found.append(
            [(correlation(students, values[:, place]), low[place], high[place]) for place in range(values.shape[1])]
        )
    return found[0], found[1]


def leaders(students: Table, values: Table) -> Table:
    """Return the share of resamples in which each criterion has the highest rank correlation; ties are shared."""
    shares = np.zeros(values.shape[1])
    for pick in resamples(len(students)):
        found = np.array([rank_correlation(students[pick], values[pick, place]) for place in range(values.shape[1])])
        is_best = found >= np.nanmax(found) - 1e-12
        shares += is_best / is_best.sum()
    return shares / RESAMPLES


def resamples(count: int) -> Table:
    return np.random.default_rng(0).integers(count, size=(RESAMPLES, count))


def rank_correlation(left: Table, right: Table) -> float:
    left_ranks, right_ranks = stats.rankdata(left), stats.rankdata(right)
    spread = left_ranks.std() * right_ranks.std()
    covariance = ((left_ranks - left_ranks.mean()) * (right_ranks - right_ranks.mean())).mean()
    return float(covariance / spread) if spread else float("nan")


def kendall_correlation(left: Table, right: Table) -> float:
    """Return Kendall's tau-b."""
    before = np.triu_indices(len(left), 1)
    one, other = np.sign((left[:, None] - left[None])[before]), np.sign((right[:, None] - right[None])[before])
    spread = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / spread) if spread else float("nan")


def picks(rows: Sequence[dict[str, Any]], key: str | None) -> list[float]:
    """Return by how much the student of the teacher picked in each seed beats that seed's mean; None: the best one."""
    gains = []
    for seed in sorted({row["seed"] for row in rows}):
        here = [row for row in rows if row["seed"] == seed]
        value = student if key is None else criterion(key)
        sign = 1 if key is None else CRITERIA[key]
        taken = max(here, key=lambda row: sign * value(row))
        gains.append(student(taken) - statistics.fmean(student(row) for row in here))
    return gains


def averaged(rows: Sequence[dict[str, Any]], keys: Sequence[str], part: str) -> tuple[Table, Table]:
    """Return student accuracy, and criteria with the good end up, of each teacher: means over seeds."""
    kinds = kinds_of(rows)
    # rounded, so that outputs that differ by a factor only are tied where the criterion does not see it
    values = [[CRITERIA[key] * round(mean(rows, kind, criterion(key, part)), 6) for key in keys] for kind in kinds]
    return np.array([mean(rows, kind, student) for kind in kinds]), np.array(values)


def by_seed(rows: Sequence[dict[str, Any]], kind: str) -> dict[int, float]:
    return {row["seed"]: student(row) for row in rows if row["kind"] == kind}


def kinds_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["kind"] for row in rows))


def mean(rows: Sequence[dict[str, Any]], kind: str, value: Callable[[dict[str, Any]], float]) -> float:
    return statistics.fmean(value(row) for row in rows if row["kind"] == kind)


def student(row: dict[str, Any]) -> float:
    return float(row["student accuracy"])


def criterion(key: str, part: str = "validation") -> Callable[[dict[str, Any]], float]:
    return lambda row: float(row[part][key])


def shown(found: tuple[float, ...]) -> str:
    return f"{found[0]:+.2f} [{found[1]:+.2f}, {found[2]:+.2f}]"


def draw(rows: Sequence[dict[str, Any]], data: str) -> None:
    groups = {row["kind"]: row["group"] for row in rows}
    for key in ("accuracy", "Brier"):
        points = [
            {
                f"validation {key}": round(mean(rows, kind, criterion(key)), 4),
                "student accuracy": round(mean(rows, kind, student), 4),
                "teacher": group,
            }
            for kind, group in groups.items()
        ]
        drawn = figures.scatter(
            points,
            x=f"validation {key}",
            y="student accuracy",
            colour="teacher",
            order=list(dict.fromkeys(groups.values())),
        )
        (HERE / f"{data}-{key.lower().replace(' ', '-')}.svg").write_text(str(drawn))


if __name__ == "__main__":
    write(json.loads((HERE / "results.json").read_text()))
