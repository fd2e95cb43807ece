"""Mean, spread and paired gain over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

__all__ = ["Gain", "Spread", "paired_gain", "spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of n values; std is None for one value."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Gain:
    """Mean paired difference and its 95 % interval by Student's t; no interval for one pair."""

    mean: float
    low: float | None
    high: float | None
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and number.

    Example:
        >>> spread([1.0, 3.0])
        Spread(mean=2.0, std=1.4142135623730951, n=2)
    """
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def paired_gain(values: Mapping[int, float], baseline: Mapping[int, float]) -> Gain | None:
    """Return the gain of runs over baseline runs, paired by seed; None when they share no seed.

    Args:
        values: by seed.
        baseline: by seed.

    Example:
        >>> paired_gain({0: 2.0, 1: 4.0}, {0: 1.0, 1: 2.0}).mean
        1.5
    """
    differences = [values[seed] - baseline[seed] for seed in sorted(set(values) & set(baseline))]
    if not differences:
        return None
    mean = statistics.fmean(differences)
    if len(differences) == 1:
        return Gain(mean, None, None, 1)
    half = stats.t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return Gain(mean, mean - float(half), mean + float(half), len(differences))
