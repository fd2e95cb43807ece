"""The page of one run, made by a run itself; the page in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import preceptor
from chromium import Chromium, find_chromium
from preceptor.artifacts.run_folder import RunFolder
from preceptor.cli import main

DATA = {"name": "digits", "limit": 200, "test_limit": 60}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    folder = tmp_path_factory.mktemp("runs")
    teacher = preceptor.teach(data=DATA, model="convnet_s", epochs=2, out=folder / "t", progress=False)
    assert not (folder / "t" / "report.html").exists()  # as tests/conftest.py wishes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRECEPTOR_REPORT", "1")
        return preceptor.distill(data=DATA, teacher=teacher, model="mlp", epochs=2, out=folder / "s", progress=False)


def test_a_run_leaves_its_page_and_pictures(run: preceptor.Result) -> None:
    page = (run.path / "report.html").read_text()
    names = ["accuracy", "agreement", "confusion", "loss", "reliability"]
    assert sorted(path.name for path in (run.path / "pictures").iterdir()) == [f"{name}.svg" for name in names]
    assert all((run.path / "pictures" / f"{name}.svg").read_text().startswith("<svg") for name in names)
    assert page.count("<svg") == 5
    assert "http" not in page.replace("http://www.w3.org/", "")
    assert "src=" not in page
    titles = ["On test", "Pictures", "Agreement with the teacher", "Each class", "Every number", "Files"]
    assert re.findall("<h2>([^<]+)</h2>", page) == [*titles, "How to make this again"]
    assert f"{100 * run.metrics.accuracy:.1f}" in page
    links = set(re.findall(r'href="([^"]+)"', page)) - {"data:,"}
    assert all((run.path / link).exists() for link in links)
    assert run.record.latency is not None
    assert [*run.record.latency] == [1, 64]


def test_six_lines_are_printed_of_a_result(run: preceptor.Result) -> None:
    lines = str(run).splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines] == [
        "student",
        "test",
        "teacher",
        "network",
        "training",
        "saved",
    ]
    assert lines[0] == "student mlp, seed 0"
    assert f"accuracy {100 * run.metrics.accuracy:.1f} %, NLL {run.metrics.nll:.3f}, ECE" in lines[1]
    assert "agreement" in lines[2]
    assert " ms for 64" in lines[3]
    assert len(repr(run)) < 1000


def test_an_unfinished_run_has_no_page_yet(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("kind: teach\n")
    with pytest.raises(preceptor.UsageError, match="the run has not finished"):
        preceptor.report(tmp_path)


def test_a_page_that_fails_does_not_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no V8 here")

    monkeypatch.setenv("PRECEPTOR_REPORT", "1")
    monkeypatch.setattr("preceptor.reports.run_page.write_page", fail)
    monkeypatch.setattr("preceptor.reports.run_figures.run_figures", lambda *_: [])
    preceptor.teach(data=DATA, model="mlp", epochs=1, out=tmp_path / "t")
    assert "note: report.html: not written (no V8 here)" in capsys.readouterr().err
    assert RunFolder(tmp_path / "t").is_finished


def test_a_page_is_made_afterwards_of_several_labels_with_a_recall_per_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = torch.randn(80, 5, generator=torch.Generator().manual_seed(0))
    pair = (inputs, (inputs[:, :3] > 0).long())
    made = preceptor.teach(data=pair, model="mlp", epochs=1, engine="plain", out=tmp_path / "t", progress=False)
    assert not RunFolder(made.path).confusion.exists()
    assert main(["report", str(made.path)]) == 0
    said = capsys.readouterr().out
    assert "latency b1 / b64 ms" in said
    assert f"Report: {made.path}/report.html" in said.replace("\n", "")
    page = (made.path / "report.html").read_text()
    assert "recall %" in page
    assert "exact match %" in page
    assert page.count("<svg") == 2


def test_in_a_browser_on_a_phone(run: preceptor.Result, tmp_path: Path) -> None:
    find_chromium()
    page, width = run.path / "report.html", 390
    with Chromium(tmp_path, page.as_uri(), width=width) as browser:
        assert browser.complaints == []
        assert browser.loaded == [page.as_uri()]
        assert browser.run("document.documentElement.scrollWidth") == width
        spilling = "[...document.querySelectorAll('body *')].filter(each => !each.closest('.scroll, svg, pre') && "
        assert browser.run(f"{spilling} each.getBoundingClientRect().right > innerWidth + 1).length") == 0
        browser.click("table.sorts th:nth-child(2) button")
        assert browser.run("document.querySelector('table.sorts th:nth-child(2)').ariaSort") == "descending"
