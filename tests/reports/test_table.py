from __future__ import annotations

from preceptor.experiments.statistics import spread
from preceptor.reports.table import Entry, Table, markdown, spread_entry


def test_markdown_keeps_links_to_files_only() -> None:
    rows = [[Entry("a|b", href="#group-1"), Entry("61.2", 0.612, "cells/x/result.json", "preceptor teach")]]
    assert markdown(Table("t", ("name", "accuracy"), rows, "note")).splitlines() == [
        "| name | accuracy |",
        "|---|---:|",
        "| a\\|b | [61.2](cells/x/result.json) |",
    ]


def test_entries_sort_by_their_numbers() -> None:
    assert spread_entry(spread([0.5, 0.75]), 100) == Entry("62.50 ± 17.68", 0.625)
    assert spread_entry(None) == Entry("–")
