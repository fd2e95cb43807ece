"""Groups of cells, compared by seed: setting by setting, and over settings with the seed as the unit."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from scipy import stats

from preceptor.reports.grid_folder import Published, read_grid_folder
from preceptor.reports.groups import Group, by_setting, group_cells, overall, published_of, varying
from small_grid import GAIN, write_grid

BASELINE = {"objective": "cross_entropy", "stop_at": "last"}


def students(folder: Path) -> list[Group]:
    return group_cells(read_grid_folder(folder).of("distill"))


def test_cells_that_differ_in_their_seed_are_a_group(tmp_path: Path) -> None:
    write_grid(tmp_path)
    groups = students(tmp_path)
    assert [(group.number, group.choices["objective"], group.choices["method"]) for group in groups] == [
        (1, "cross_entropy", "kd"),
        (2, "cross_entropy", "dkd"),
        (3, "brier", "kd"),
        (4, "brier", "dkd"),
    ]
    assert varying(groups) == ["objective", "method"]
    assert varying(groups[:1]) == ["pair", "objective", "stop_at", "method"]
    assert groups[0].test("accuracy") == pytest.approx({0: 0.5, 1: 0.51, 2: 0.52})


def test_each_setting_is_compared_with_its_own_baseline(tmp_path: Path) -> None:
    write_grid(tmp_path)
    kd, dkd = by_setting(students(tmp_path), BASELINE)
    assert (kd.group.choices["method"], kd.baseline.choices["method"]) == ("kd", "kd")
    assert kd.comparison is not None
    assert dkd.comparison is not None
    expected = {method: stats.ttest_1samp(GAIN[method], 0).pvalue for method in GAIN}
    assert (kd.comparison.gain.t_p, dkd.comparison.gain.t_p) == pytest.approx((expected["kd"], expected["dkd"]))
    assert kd.comparison.t_p == pytest.approx(2 * expected["kd"])  # Holm: the smaller of two
    assert (kd.wanted, kd.comparison.gain.n) == (3, 3)


def test_over_settings_a_seed_is_one_value(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (only,) = overall(students(tmp_path), BASELINE)
    by_seed = [statistics.fmean(pair) for pair in zip(GAIN["kd"], GAIN["dkd"], strict=True)]
    assert (only.choices, only.settings, only.is_even) == ({"objective": "brier", "stop_at": "last"}, 2, True)
    assert only.comparison.gain.n == 3  # not 6
    assert only.comparison.gain.t_p == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)


def test_missing_pairs_are_counted(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (tmp_path / "cells" / "distill-brier-kd-1" / "result.json").unlink()
    kd, dkd = by_setting(students(tmp_path), BASELINE)
    assert kd.comparison is not None
    assert (kd.comparison.gain.n, kd.wanted, kd.comparison.verdict) == (2, 3, "too few seeds")
    assert dkd.comparison is not None
    assert dkd.comparison.t_p == dkd.comparison.gain.t_p  # the only comparison left
    (only,) = overall(students(tmp_path), BASELINE)
    assert (only.is_even, only.comparison.gain.n) == (False, 3)


def test_nothing_is_compared_with_a_baseline_that_is_not_there(tmp_path: Path) -> None:
    write_grid(tmp_path)
    groups = students(tmp_path)
    assert by_setting(groups, {"objective": "soteacher"}) == []
    assert by_setting(groups, {"other": "x"}) == []
    assert overall(groups, {"other": "x"}) == []
    for seed in range(3):
        for method in GAIN:
            (tmp_path / "cells" / f"distill-cross_entropy-{method}-{seed}" / "result.json").unlink()
    assert [each.comparison for each in by_setting(students(tmp_path), BASELINE)] == [None, None]
    assert overall(students(tmp_path), BASELINE) == []


def test_the_most_exact_published_number_counts(tmp_path: Path) -> None:
    write_grid(tmp_path, seeds=(0,))
    kd, dkd, *_ = students(tmp_path)
    rough = Published(where={"objective": "cross_entropy"}, accuracy=70.0, source="a")
    exact = Published(where={"objective": "cross_entropy", "method": "kd"}, accuracy=71.0, source="b")
    assert (published_of(kd, [rough, exact]), published_of(dkd, [rough, exact])) == (exact, rough)
    assert published_of(kd, []) is None
