"""The demo's table and sentence, from run folders made for the test."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from preceptor.artifacts.run_folder import RunFolder
from preceptor.errors import UsageError
from preceptor.experiments.statistics import spread
from preceptor.reports import print_summary, summarise_demo
from records import made_record

TEACHERS = {"cross_entropy": (0.75, 0.25), "brier": (0.7, 0.125)}  # accuracy, distance to the truth


def write(folder: Path, accuracy: float, distance: float, train: float = 1.0) -> None:
    test = {"accuracy": accuracy, "truth_mse": distance, "ece": 0.1}
    folder.mkdir(parents=True)
    RunFolder(folder).config.write_text("kind: teach\n")
    RunFolder(folder).write_record(made_record(train={"loss": 1.0, "accuracy": train}, test=test))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (accuracy, distance) in TEACHERS.items():
        for seed in (0, 1, 2):
            write(tmp_path / "teachers" / f"{name}-seed{seed}", accuracy, distance, 0.9 if name == "brier" else 1.0)
            gain = 0.125 if name == "brier" else 0.0
            write(tmp_path / "students" / f"{name}-seed{seed}", 0.5 + gain + seed / 8, 0.0)
    return tmp_path


def test_means_and_paired_gains(folder: Path) -> None:
    baseline, brier = summarise_demo(folder).rows
    assert (baseline.name, baseline.gain, baseline.distance) == ("cross_entropy", None, spread([0.25] * 3))
    assert brier.student_accuracy.mean == pytest.approx(0.75)
    assert brier.gain is not None
    assert (brier.gain.gain.mean, brier.gain.low, brier.gain.high) == pytest.approx((0.125, 0.125, 0.125))


def test_the_sentence_says_what_the_numbers_show(folder: Path) -> None:
    finding = summarise_demo(folder).finding
    assert finding.startswith("The teacher nearest to the true label distribution is brier; the best students")
    assert "students are better than the cross-entropy teacher's under brier" in finding
    assert "not converged (training accuracy under 95 %): brier" in finding
    assert finding.endswith("3 seeds, small images, one data set: a demonstration, not evidence.")


def test_a_report_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no runs"):
        summarise_demo(tmp_path)


def test_one_seed_has_no_intervals(tmp_path: Path) -> None:
    for name, (accuracy, distance) in TEACHERS.items():
        write(tmp_path / "teachers" / f"{name}-seed0", accuracy, distance)
        write(tmp_path / "students" / f"{name}-seed0", accuracy, 0.0)
    summary = summarise_demo(tmp_path)
    console = Console(record=True, width=200, file=StringIO())
    print_summary(summary, console)
    said = console.export_text()
    assert summary.columns[-1] == "gain"
    assert "-5.0" in said
    assert "no interval and no test: fewer than 3 seeds" in said
    for word in ("95 %]", "±", "average"):
        assert word not in said
