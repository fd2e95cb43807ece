"""`preceptor report`."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.cli import main
from small_grid import write_grid


def test_the_report_of_a_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_grid(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "within noise" in said
    assert str(tmp_path / "report.html") in said.replace("\n", "")
    assert {path.name for path in tmp_path.glob("report.*")} == {"report.html", "report.md", "report.csv"}


def test_a_folder_without_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: report: {tmp_path} holds no grid.json and no run folder\n"
