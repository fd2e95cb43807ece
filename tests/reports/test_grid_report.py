"""The page, its Markdown and its CSV; the page in a real browser."""

from __future__ import annotations

import csv
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from chromium import Chromium, find_chromium
from preceptor.reports import Report, print_report, write_report
from small_grid import write_cell, write_grid

PAPER = [{"where": {"method": "kd"}, "accuracy": 73.3, "std": 0.2, "n": 3, "source": "a < b, Table 2"}]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("grid")
    write_grid(folder, published=PAPER)
    (folder / "cells" / "distill-brier-dkd-2" / "result.json").unlink()
    return write_report(folder)


def test_the_page_is_one_file_that_loads_nothing(made: Report) -> None:
    page = made.page.read_text()
    assert "http" not in page.replace("http://www.w3.org/", "")
    assert "src=" not in page
    assert page.count("<svg") == 3 + 3 + 6  # over the teachers; curves: two settings and the teachers; diagrams
    assert "a &lt; b, Table 2" in page
    assert "<pre>seed: [0, 1, 2]" in page


def test_every_link_leads_somewhere(made: Report) -> None:
    page = made.page.read_text()
    links = set(re.findall(r'href="([^"]+)"', page)) - {"data:,"}
    assert {link for link in links if link[0] == "#"} == {f"#{name}" for name in re.findall(r'id="(group-\d+)"', page)}
    assert all((made.page.parent / link).exists() for link in links if link[0] != "#")
    assert len([link for link in links if link.endswith("result.json")]) == 17  # of 18 cells


def test_what_is_not_done_is_on_the_page(made: Report) -> None:
    page = made.page.read_text()
    assert "Of 18 cells: 1 unfinished." in page
    assert "<h2>Not done</h2>" in page
    assert page.count("distill-brier-dkd-2") >= 2


def test_markdown_and_csv_stand_beside(made: Report) -> None:
    assert made.markdown is not None
    assert made.csv is not None
    text = made.markdown.read_text()
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[:3] == [
        "## Students",
        "## Students: gains over cross_entropy, last, over all settings",
        "## Students: gains over cross_entropy, last, setting by setting",
    ]
    assert "within noise" in text
    assert len([*csv.DictReader(StringIO(made.csv.read_text()))]) == 18


def test_the_terminal_gets_the_ranking_and_the_sentences(made: Report) -> None:
    console = Console(record=True, width=120, file=StringIO())
    print_report(made, console)
    said = console.export_text()
    assert "corrected 95 %" in said
    assert "NLL" not in said
    assert made.findings[0] in " ".join(said.split())


def test_a_grid_of_teachers_alone(tmp_path: Path) -> None:
    values = write_grid(tmp_path)
    write_grid(tmp_path / "x", cells=[cell for cell in values["cells"] if cell["verb"] == "teach"])
    made = write_report(tmp_path / "x")
    assert made.tables[0].title == "Teachers"
    assert made.findings[0].startswith("Highest") or "brier" in made.findings[0]


def test_runs_without_a_grid_are_listed(tmp_path: Path) -> None:
    write_cell(tmp_path / "t", 0.5, 0)
    made = write_report(tmp_path)
    assert made.findings == ("Runs without a grid.json: they are listed, and nothing is compared.",)
    page = made.page.read_text()
    assert "Teachers: every run" in page
    assert "<svg" not in page


@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser(made: Report, tmp_path: Path, width: int) -> None:
    find_chromium()
    with Chromium(tmp_path, made.page.as_uri(), width=width) as browser:
        assert browser.complaints == []
        assert browser.loaded == [made.page.as_uri()]
        assert browser.run("document.documentElement.scrollWidth") == width  # nothing is cut off ...
        # ... and what is wider than the page scrolls in its own box
        spilling = "[...document.querySelectorAll('body *')].filter(each => !each.closest('.scroll, svg, pre') && "
        assert browser.run(f"{spilling} each.getBoundingClientRect().right > innerWidth + 1).length") == 0
        boxes = "[...document.querySelectorAll('.scroll')]"
        assert browser.run(f"{boxes}.every(box => box.scrollWidth <= box.clientWidth || (box.scrollLeft = 9) > 0)")

        def column() -> list[str]:
            shown: list[str] = browser.run(
                "[...document.querySelector('table.sorts').tBodies[0].rows].map(row => row.cells[2].innerText.trim())"
            )
            return shown

        ranked = column()
        assert ranked == ["54.00 ± 2.00", "51.00 ± 1.00", "51.00 ± 1.00", "50.00 ± 1.41"]
        button = "table.sorts th:nth-child(3) button"
        browser.click(button)
        assert browser.run("document.querySelector('table.sorts th:nth-child(3)').ariaSort") == "descending"
        assert column() == ranked
        browser.click(button)
        assert column() == ranked[::-1]
        browser.click("table.sorts th:nth-child(1) button")
        names = "[...document.querySelector('table.sorts').tBodies[0].rows].map(row => row.cells[0].innerText.trim())"
        assert browser.run(names) == ["brier", "brier", "cross_entropy", "cross_entropy"]
        browser.click("table.sorts td a")
        assert browser.run("document.querySelector('tr:target') !== null")
        assert browser.complaints == []


def test_in_print_nothing_is_cut_off(made: Report, tmp_path: Path) -> None:
    find_chromium()
    with Chromium(tmp_path, made.page.as_uri(), width=718) as browser:  # A4 between its margins
        browser.print_media()
        assert browser.run("document.documentElement.scrollWidth") == 718
        assert browser.run("[...document.querySelectorAll('td')].every(td => td.getBoundingClientRect().right <= 719)")
