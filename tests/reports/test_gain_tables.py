"""The ranked table and the gains, as text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from preceptor.reports.gain_tables import gains_table, overall_table, ranked_table
from preceptor.reports.grid_folder import Published, read_grid_folder
from preceptor.reports.groups import by_setting, group_cells, overall, varying
from preceptor.reports.table import Table
from small_grid import write_grid

BASELINE = {"objective": "cross_entropy", "stop_at": "last"}
PAPER = Published(where={"method": "kd"}, accuracy=73.3, std=0.2, n=3, source="https://paper")


def lines(table: Table) -> list[dict[str, str]]:
    return [{name: entry.text for name, entry in zip(table.columns, row, strict=True)} for row in table.rows]


def ranked(folder: Path, published: tuple[Published, ...] = ()) -> Table:
    groups = group_cells(read_grid_folder(folder).of("distill"))
    return ranked_table("Students", groups, by_setting(groups, BASELINE), BASELINE, published)


def test_groups_are_ranked_with_their_gains(tmp_path: Path) -> None:
    write_grid(tmp_path)
    table = ranked(tmp_path)
    best, *_ = found = lines(table)
    assert [(row["objective"], row["method"]) for row in found[:2]] == [("brier", "kd"), ("brier", "dkd")]
    assert (best["test accuracy %"], best["n"]) == ("54.00 ± 2.00", "3")
    assert best["gain over cross_entropy, last"] == "+3.00"
    # t(0.9875, 2) = 6.2053 for the smaller of two p; 3 +- 6.2053 * 1 / sqrt 3
    assert (best["corrected 95 %"], best["verdict"]) == ("[-0.58, +6.58]", "within noise")
    assert [row["verdict"] for row in found if row["gain over cross_entropy, last"] == "baseline"] == ["–", "–"]
    assert "published %" not in best
    assert best["training %"] == "90.00 ± 0.00"
    assert table.rows[0][0].href == "#group-3"


def test_two_seeds_have_no_interval_and_it_is_said(tmp_path: Path) -> None:
    write_grid(tmp_path, seeds=(0, 1))
    best = lines(ranked(tmp_path))[0]
    assert (best["95 % interval"], best["corrected 95 %"]) == ("none: n < 3", "none: n < 3")
    assert (best["verdict"], best["gain over cross_entropy, last"]) == ("too few seeds", "+2.50")


def test_a_group_without_a_result_stands_last(tmp_path: Path) -> None:
    write_grid(tmp_path)
    for seed in range(3):
        shutil.rmtree(tmp_path / "cells" / f"distill-brier-kd-{seed}")
    (tmp_path / "cells" / "distill-brier-kd-0.state.json").write_text(json.dumps({"state": "failed"}))
    *_, last = lines(ranked(tmp_path))
    assert (last["objective"], last["method"], last["test accuracy %"]) == ("brier", "kd", "–")
    assert last["n"] == "0 of 3, 1 failed"


def test_the_published_number_stands_beside(tmp_path: Path) -> None:
    write_grid(tmp_path)
    table = ranked(tmp_path, (PAPER,))
    assert [row["published %"] for row in lines(table)] == ["73.3 ± 0.2 (n 3)", "–", "73.3 ± 0.2 (n 3)", "–"]
    assert table.rows[0][list(table.columns).index("published %")].href == "https://paper"


def test_gains_tell_their_pairs_and_both_tests(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (tmp_path / "cells" / "distill-cross_entropy-kd-2" / "result.json").unlink()
    groups = group_cells(read_grid_folder(tmp_path).of("distill"))
    kd, dkd = lines(gains_table("Students", by_setting(groups, BASELINE), varying(groups), BASELINE))
    assert (kd["pairs"], kd["p (t)"], kd["verdict"]) == ("2 of 3", "–", "too few seeds")
    # differences 1, -2, 2: mean 1/3, std 2.0817; ranks of sizes 1, 2.5, 2.5
    assert (dkd["pairs"], dkd["gain"], dkd["verdict"]) == ("3 of 3", "+0.33", "within noise")
    assert dkd["p (t)"] == dkd["p (t, Holm)"] == "0.808"
    (both,) = lines(overall_table("Students", overall(groups, BASELINE), BASELINE))
    assert (both["settings"], both["seeds"], both["objective"]) == ("2", "3 (uneven)", "brier")
