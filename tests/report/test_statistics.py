from __future__ import annotations

import statistics

import pytest
from scipy import stats

from preceptor.report.statistics import Gain, Spread, paired_gain, spread


def test_spread_is_the_sample_deviation() -> None:
    values = [0.61, 0.59, 0.64]
    assert spread(values) == Spread(statistics.fmean(values), statistics.stdev(values), 3)
    assert spread([0.5]) == Spread(0.5, None, 1)


def test_the_interval_is_scipys_paired_t() -> None:
    values, baseline = {0: 0.62, 1: 0.60, 2: 0.65, 3: 0.61}, {0: 0.60, 1: 0.61, 2: 0.60, 3: 0.58}
    gain = paired_gain(values, baseline)
    expected = stats.ttest_rel([*values.values()], [*baseline.values()]).confidence_interval(0.95)
    assert gain is not None
    assert (gain.low, gain.high) == pytest.approx((expected.low, expected.high))


def test_pairs_are_by_seed_and_one_pair_has_no_interval() -> None:
    assert paired_gain({5: 3.0, 6: 9.0}, {5: 1.0, 7: 0.0}) == Gain(2.0, None, None, 1)
    assert paired_gain({1: 1.0}, {2: 1.0}) is None
