"""The tables of single runs."""

from __future__ import annotations

from pathlib import Path

from preceptor.reports.grid_folder import Published, read_grid_folder
from preceptor.reports.groups import Group, group_cells, varying
from preceptor.reports.run_tables import cells_table, published_table, selection_table, unfinished_table
from preceptor.reports.table import Table
from small_grid import write_cell, write_grid


def lines(table: Table) -> list[dict[str, str]]:
    return [{name: entry.text for name, entry in zip(table.columns, row, strict=True)} for row in table.rows]


def students(folder: Path) -> list[Group]:
    return group_cells(read_grid_folder(folder).of("distill"))


def test_last_and_best_epoch_are_told_apart(tmp_path: Path) -> None:
    write_grid(tmp_path)
    groups = students(tmp_path)
    kd = lines(selection_table("Students", groups, varying(groups)))[0]
    assert (kd["test %"], kd["test is of"]) == ("51.00 ± 1.00", "last epoch (2)")
    assert (kd["validation, last epoch %"], kd["validation, best epoch %"]) == ("56.00 ± 1.00", "61.00 ± 1.00")
    assert kd["best epochs"] == "1"


def test_the_rule_that_chose_the_epoch_is_said(tmp_path: Path) -> None:
    for seed, rule in enumerate(("best_val_nll", "7")):
        write_cell(tmp_path / str(seed), 0.5, seed, selected_epoch=7)
        config = tmp_path / str(seed) / "config.yaml"
        config.write_text(config.read_text().replace("stop_at: last", f"stop_at: {rule}"))
    table = cells_table("Teachers", group_cells(read_grid_folder(tmp_path).of("teach")), ["model"])
    assert [row["tested"] for row in lines(table)] == ["best validation nll (epoch 7)", "epoch 7"]


def test_every_cell_has_its_run_and_command(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (tmp_path / "cells" / "distill-brier-dkd-2" / "result.json").unlink()
    groups = students(tmp_path)
    table = cells_table("Students", groups, varying(groups))
    found = lines(table)
    assert len(found) == 12
    assert (found[-1]["status"], found[-1]["test accuracy %"]) == ("unfinished", "–")
    assert (found[0]["time"], found[0]["images/s"], found[0]["test accuracy %"]) == ("1.0 s", "10", "50.00")
    *_, run = table.rows[0]
    assert run.href == "cells/distill-cross_entropy-kd-0/result.json"
    assert run.code == "preceptor distill seed=0 out=distill-cross_entropy-kd-0"
    assert [row[0].anchor for row in table.rows[:4]] == ["group-1", None, None, "group-2"]
    assert "device" not in table.columns
    assert "on cpu, fp32" in table.note


def test_cells_of_several_devices_name_theirs(tmp_path: Path) -> None:
    write_cell(tmp_path / "a", 0.5, 0)
    write_cell(tmp_path / "b", 0.5, 1, device="cuda", precision="bf16")
    table = cells_table("Teachers", group_cells(read_grid_folder(tmp_path).of("teach")), ["model"])
    assert [row["device"] for row in lines(table)] == ["cpu, fp32", "cuda, bf16"]


def test_published_numbers_without_a_cell_are_said(tmp_path: Path) -> None:
    write_grid(tmp_path)
    published = [
        Published(where={"objective": "brier", "method": "kd"}, accuracy=53.0, source="Table 2"),
        Published(where={"method": "crd"}, accuracy=75.0, std=0.3, source="https://x"),
    ]
    ours, absent = lines(published_table(students(tmp_path), published))
    assert (ours["ours %"], ours["published %"], ours["difference"]) == ("54.00 ± 2.00", "53", "+1.00")
    assert (ours["source"], ours["our n"]) == ("Table 2", "3")
    assert (absent["setting"], absent["ours %"], absent["difference"]) == ("crd", "no such cell", "–")


def test_cells_without_a_result_have_a_table(tmp_path: Path) -> None:
    write_grid(tmp_path, seeds=(0,))
    (tmp_path / "cells" / "teach-brier-0" / "result.json").unlink()
    left = [cell for cell in read_grid_folder(tmp_path).cells if cell.status != "done"]
    (row,) = lines(unfinished_table(left))
    assert row == {
        "cell": "teach convnet_m, brier, last, seed 0",
        "status": "unfinished",
        "what is known": "no result.json; epochs done: 0",
        "run": "teach-brier-0",
    }
