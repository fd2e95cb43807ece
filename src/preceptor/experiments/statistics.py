"""Statistics over seeds: mean and spread, gains paired by seed, tests with Holm's correction.

A seed is the unit: what several runs of one seed say is averaged before anything is tested. Under three seeds there is no
interval and no test.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

__all__ = [
    "LEAST_SEEDS",
    "Comparison",
    "Gain",
    "Spread",
    "Verdict",
    "compare",
    "gain_of",
    "mean_by_seed",
    "paired_gain",
    "spread",
]

LEAST_SEEDS = 3  # for an interval or a test
_ALPHA = 0.05
_DIGITS = 12  # of a difference: 0.62 - 0.60 and 0.61 - 0.59 are the same rank

Verdict = Literal["better", "worse", "within noise", "too few seeds"]


@dataclass(frozen=True, slots=True)
class Spread:
    """What n values say.

    Attributes:
        mean: of them.
        std: sample standard deviation (n - 1); None of one value.
        n: how many.
        low: of the 95 % interval of the mean by Student's t; None under three values.
        high: of it.
    """

    mean: float
    std: float | None
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Gain:
    """What n paired differences say, each by itself a test of two sides.

    Attributes:
        mean: difference.
        std: of the differences (n - 1); None of one pair.
        n: pairs.
        low: of the 95 % interval by Student's t; None under three pairs.
        high: of it.
        t_p: p of Student's paired t; None under three pairs.
        wilcoxon_p: p of Wilcoxon's signed-rank test, which cannot be under 0.05 with fewer than six pairs.
    """

    mean: float
    std: float | None
    n: int
    low: float | None = None
    high: float | None = None
    t_p: float | None = None
    wilcoxon_p: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A gain as one of several comparisons, by Holm's method.

    Attributes:
        gain: by itself.
        low: of the corrected interval: Student's t at level 1 - 0.05 / k, k the number by which Holm's method multiplies
            this comparison's p, or that of an earlier one that it could not reject; None under three pairs.
        high: of it.
        t_p: adjusted.
        wilcoxon_p: adjusted.
    """

    gain: Gain
    low: float | None
    high: float | None
    t_p: float | None
    wilcoxon_p: float | None

    @property
    def verdict(self) -> Verdict:
        """Within noise: the corrected interval includes 0; then, and only then, the adjusted p of t is not under 0.05."""
        if self.low is None or self.high is None:
            return "too few seeds"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "within noise"


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation, number and interval.

    Args:
        values: at least one, each of another seed.

    Examples:
        >>> spread([1.0, 3.0])
        Spread(mean=2.0, std=1.4142135623730951, n=2, low=None, high=None)
    """
    mean, n = statistics.fmean(values), len(values)
    std = statistics.stdev(values) if n > 1 else None
    return Spread(mean, std, n, *_interval(mean, std, n))


def mean_by_seed(settings: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """Return the mean over settings of each seed, so that several runs of a seed count once.

    Args:
        settings: each has values by seed.

    Examples:
        >>> mean_by_seed([{0: 1.0, 1: 2.0}, {0: 3.0}])
        {0: 2.0, 1: 2.0}
    """
    by_seed: dict[int, list[float]] = {}
    for values in settings:
        for seed, value in values.items():
            by_seed.setdefault(seed, []).append(value)
    return {seed: statistics.fmean(values) for seed, values in sorted(by_seed.items())}


def paired_gain(values: Mapping[int, float], baseline: Mapping[int, float]) -> Gain | None:
    """Return the gain of runs over baseline runs, paired by seed; None when they share no seed.

    Args:
        values: by seed.
        baseline: by seed.

    Examples:
        >>> paired_gain({0: 2.0, 1: 4.0}, {0: 1.0, 1: 2.0}).mean
        1.5
    """
    shared = sorted(set(values) & set(baseline))
    return gain_of([values[seed] - baseline[seed] for seed in shared]) if shared else None


def gain_of(differences: Sequence[float]) -> Gain:
    """Return what paired differences say.

    Args:
        differences: at least one, each of another seed.
    """
    rounded = [round(difference, _DIGITS) for difference in differences]
    mean, n = statistics.fmean(rounded), len(rounded)
    std = statistics.stdev(rounded) if n > 1 else None
    if std is None or n < LEAST_SEEDS:
        return Gain(mean, std, n)
    low, high = _interval(mean, std, n)
    if std == 0:  # neither test is defined
        p = 1.0 if mean == 0 else 0.0
        return Gain(mean, std, n, low, high, p, stats.wilcoxon(rounded).pvalue if mean else 1.0)
    t_p, wilcoxon_p = stats.ttest_1samp(rounded, 0.0).pvalue, stats.wilcoxon(rounded).pvalue
    return Gain(mean, std, n, low, high, float(t_p), float(wilcoxon_p))


def compare(gains: Sequence[Gain]) -> list[Comparison]:
    """Return the gains of one table, corrected for their number by Holm's method; too short ones are not counted.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Args:
        gains: over the same baseline, in any order.

    Examples:
        >>> gains = [gain_of([0.1, 0.2, 0.15]), gain_of([0.1, -0.1, 0.05])]
        >>> [(round(each.gain.t_p, 3), round(each.t_p, 3), each.verdict) for each in compare(gains)]
        [(0.035, 0.07, 'within noise'), (0.808, 0.808, 'within noise')]
    """
    t_ps = _holm([gain.t_p for gain in gains])
    wilcoxon_ps = _holm([gain.wilcoxon_p for gain in gains])
    compared = []
    for gain, (t_p, factor), (wilcoxon_p, _) in zip(gains, t_ps, wilcoxon_ps, strict=True):
        low, high = _interval(gain.mean, gain.std, gain.n, _ALPHA / factor)
        compared.append(Comparison(gain, low, high, t_p, wilcoxon_p))
    return compared


def _holm(ps: Sequence[float | None]) -> list[tuple[float | None, int]]:
    """Return each p adjusted, and by how many comparisons its level is divided: those left when the method stopped."""
    order = sorted((number for number, p in enumerate(ps) if p is not None), key=lambda number: ps[number] or 0.0)
    adjusted: list[tuple[float | None, int]] = [(None, 1)] * len(ps)
    largest, stopped_at = 0.0, 0
    for rank, number in enumerate(order):
        left = len(order) - rank
        largest = max(largest, min(1.0, left * (ps[number] or 0.0)))
        if largest >= _ALPHA:
            stopped_at = stopped_at or left
        adjusted[number] = (largest, stopped_at or left)
    return adjusted


def _interval(mean: float, std: float | None, n: int, alpha: float = _ALPHA) -> tuple[float | None, float | None]:
    if std is None or n < LEAST_SEEDS:
        return None, None
    half = float(stats.t.ppf(1 - alpha / 2, n - 1)) * std / n**0.5
    return mean - half, mean + half
