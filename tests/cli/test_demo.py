"""The demo with one seed, really run on fewer samples for fewer epochs, and its page opened; one teacher as long as it says."""

from __future__ import annotations

import importlib
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from preceptor.artifacts.run_folder import RunFolder
from preceptor.cli import main
from preceptor.errors import UsageError
from preceptor.reports import summarise_demo

verb = importlib.import_module("preceptor.cli.demo")  # there is a function of that name


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in {"href", "src"} and value]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    short = ["data.samples=240", "data.test_samples=400", "epochs=6"]
    with pytest.MonkeyPatch.context() as patch:
        for words in ("_TEACHER", "_STUDENT"):
            patch.setattr(verb, words, [*getattr(verb, words), *short])
        assert main(["demo", "--out", str(out), "--seeds", "1"]) == 0
    return out


def test_a_teacher_converges(tmp_path: Path) -> None:
    """Of the three it is the one that takes longest: Brier's gradient is the flattest."""
    words = [*verb._TEACHER, "objective=brier", f"out={tmp_path / 'teacher'}"]
    assert main(["teach", *words]) == 0
    assert RunFolder(tmp_path / "teacher").read_record().history[-1]["train"]["accuracy"] > 0.95


def test_the_numbers_are_those_of_the_runs(demo: Path) -> None:
    summary = summarise_demo(demo)
    rows = {row.name: row for row in summary.rows}
    assert list(rows) == ["cross_entropy", "brier", "soteacher", "true_distribution"]
    for name in ("cross_entropy", "brier", "soteacher"):
        train = rows[name].train_accuracy
        assert train is not None
        assert train.mean == summary.teachers[name][0].history[-1]["train"]["accuracy"]
        assert rows[name].student_accuracy.mean == summary.students[name][0].test["accuracy"]
    assert "1 seed, small images, one data set: a demonstration, not evidence" in summary.finding


def test_the_page_needs_nothing_from_outside_and_its_links_lead_to_runs(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    links = Links()
    links.feed(page)
    assert len([link for link in links.found if link.endswith("result.json")]) == 7
    for link in links.found:
        assert link.startswith("#") or (demo / link).exists(), link
    assert page.count("<svg") == 6
    assert "<script" not in page


def test_a_folder_of_somebody_elses_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "is not empty and holds no demo" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").exists()


def test_a_second_demo_removes_the_runs_of_the_first_and_nothing_else(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(demo, out)
    (out / "teachers" / "brier-seed0" / "notes.txt").write_text("mine")
    (out / "mine.txt").write_text("mine")
    verb._empty_folder(out)
    left = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert left == {"mine.txt", "teachers/brier-seed0/notes.txt", "report.html", ".preceptor-demo"}
    with pytest.raises(UsageError, match="holds no runs"):
        summarise_demo(out)


def test_one_seed_has_no_intervals(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    assert "one standard deviation" not in page
    assert "95 %" not in page.replace("under 95 %", "")
