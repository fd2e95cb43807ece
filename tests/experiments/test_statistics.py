from __future__ import annotations

import statistics

import pytest
from scipy import stats

from preceptor.experiments.statistics import (
    Gain,
    Spread,
    compare,
    gain_of,
    mean_by_seed,
    paired_gain,
    spread,
)

VALUES, BASELINE = {0: 0.62, 1: 0.60, 2: 0.65, 3: 0.61}, {0: 0.60, 1: 0.61, 2: 0.60, 3: 0.58}


def test_spread_is_the_sample_deviation() -> None:
    values = [0.61, 0.59, 0.64]
    found = spread(values)
    assert (found.mean, found.std, found.n) == (statistics.fmean(values), statistics.stdev(values), 3)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.7]])
def test_under_three_values_there_is_no_interval(values: list[float]) -> None:
    found = spread(values)
    assert (found.n, found.low, found.high) == (len(values), None, None)
    gain = gain_of(values)
    assert (gain.low, gain.high, gain.t_p, gain.wilcoxon_p) == (None, None, None, None)
    (only,) = compare([gain])
    assert (only.verdict, only.low, only.t_p) == ("too few seeds", None, None)
    assert spread([0.5]) == Spread(0.5, None, 1)


def test_a_gain_is_scipys_paired_t_and_signed_rank() -> None:
    gain = paired_gain(VALUES, BASELINE)
    a, b = [*VALUES.values()], [*BASELINE.values()]
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert gain is not None
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high))
    assert gain.t_p == pytest.approx(expected.pvalue)
    # by hand: ranks of |0.02, -0.01, 0.05, 0.03| are 2, 1, 4, 3; the negative one sums to 1; P(sum <= 1) = 2 of 16, two sides
    assert gain.wilcoxon_p == pytest.approx(0.25)


def test_the_interval_by_hand() -> None:
    gain = gain_of([0.1, 0.2, 0.3])  # mean 0.2, std 0.1, t(0.975, 2) = 4.3027
    assert (gain.low, gain.high) == pytest.approx((0.2 - 4.3027 * 0.1 / 3**0.5, 0.2 + 4.3027 * 0.1 / 3**0.5), abs=1e-5)


def test_pairs_are_by_seed() -> None:
    assert paired_gain({5: 3.0, 6: 9.0}, {5: 1.0, 7: 0.0}) == Gain(2.0, None, 1)
    assert paired_gain({1: 1.0}, {2: 1.0}) is None


def test_a_difference_of_equal_size_is_a_tie() -> None:
    """0.62 - 0.60 and 0.61 - 0.59 differ in their last bit; their ranks do not."""
    ties = gain_of([0.62 - 0.60, 0.61 - 0.59, -(0.63 - 0.61), 0.04])
    assert ties.wilcoxon_p == stats.wilcoxon([0.02, 0.02, -0.02, 0.04]).pvalue


def test_equal_differences_have_no_spread() -> None:
    same, none = gain_of([0.125] * 3), gain_of([0.0] * 3)
    assert (same.low, same.high, same.t_p) == (0.125, 0.125, 0.0)
    assert (none.t_p, none.wilcoxon_p) == (1.0, 1.0)
    assert [each.verdict for each in compare([same, none])] == ["better", "within noise"]


def test_runs_of_one_seed_count_once() -> None:
    """Four settings x three seeds are three values, not twelve."""
    settings = [{0: 1.0, 1: 2.0, 2: 3.0}, {0: 3.0, 1: 2.0, 2: 5.0}, {0: 2.0, 1: 2.0}]
    averaged = mean_by_seed(settings)
    assert averaged == {0: 2.0, 1: 2.0, 2: 4.0}
    assert gain_of([*averaged.values()]).n == 3


def test_holm_by_hand() -> None:
    gains = [Gain(1.0, 1.0, 10, 0, 0, p, p) for p in (0.01, 0.04, 0.03, 0.005)]
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, each at least the one before: 0.02, 0.03, 0.06, 0.06
    assert [each.t_p for each in compare(gains)] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [each.wilcoxon_p for each in compare(gains)] == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_too_few_pairs_are_not_among_the_comparisons() -> None:
    long, short = gain_of([0.1, 0.2, 0.15]), gain_of([0.1, 0.2])
    with_short, alone = compare([short, long]), compare([long])
    assert with_short[1] == alone[0]
    assert (alone[0].low, alone[0].high, alone[0].t_p) == (long.low, long.high, long.t_p)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0])
def test_within_noise_is_the_corrected_interval_and_the_corrected_test_alike(shift: float) -> None:
    drawn = stats.norm.rvs(size=(40, 5), random_state=int(10 * shift))
    gains = [gain_of([*(row + shift * (number % 4))]) for number, row in enumerate(drawn)]
    found = compare(gains)
    assert all((each.verdict == "within noise") == (each.t_p is not None and each.t_p >= 0.05) for each in found)
    assert all(each.low is not None and each.low <= (each.gain.low or 0) + 1e-12 for each in found)
    assert shift < 2 or {each.verdict for each in found} == {"better", "within noise"}
