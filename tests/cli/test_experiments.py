"""`preceptor grid`: words, what it prints, and its exit status."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from forked import Forked
from grids import small_grid
from preceptor.cli import main
from preceptor.runner.cost import Speed

experiments = importlib.import_module("preceptor.api.experiments")
verbs = importlib.import_module("preceptor.cli.experiments")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A grid of two students."""
    path = tmp_path / "g.yaml"
    path.write_text(yaml.safe_dump(small_grid(tmp_path, distill={"method": ["kd", "dkd"]}), sort_keys=False))
    return str(path)


@pytest.fixture
def executors(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Cells run in forked processes; what the local executor would have got."""
    asked: list[tuple[Any, ...]] = []

    def local(places: list[tuple[str, ...]], ranks: int, threads: int | None) -> Forked:
        asked.append((places, ranks, threads))
        return Forked(len(places))

    monkeypatch.setattr(experiments, "Local", local)
    return asked


def test_cells_run_where_the_options_say(
    file: str, executors: list[tuple[Any, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["grid", file, "--only", "method=dkd", "--gpus", "0,1", "--per-gpu", "2", "--threads", "3"]) == 0
    assert executors == [([("0",), ("1",), ("0",), ("1",)], 1, 3)]
    assert "(2 cells done)" in capfd.readouterr().out
    assert main(["grid", file, "--status"]) == 0
    assert capfd.readouterr().out == "done 2   waiting 1   of 3\n"


def test_a_dry_run_shows_cells_times_and_disk(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verbs, "measure_speed", lambda recipe, threads: Speed(1e6 / threads, 60.0))
    assert main(["grid", file, "--dry-run", "--jobs", "2", "--threads", "1", "--set", "seed=3,4"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "teach 2 0 0:02:12 0:04:24" in printed
    assert "with 2 at a time" in printed
    assert "2 cells are made once for 4 others" in printed
    assert not (tmp_path / "grid" / "grid.json").exists()


def test_shipped_grids_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grid", "--list"]) == 0
    assert "soteacher-short" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "seed"], "--set seed: expected key=value"),
        (["--set", "seed=1", "--set", "seed=2"], "--set seed: is set twice"),
        (["--set", "seed=[1"], "--set seed: '[1' cannot be read as a value"),
        (["--set", "seed=x"], "g.yaml: seed: expected whole numbers"),
        (["--set", "epoch=3"], "g.yaml:1: fixed.epoch: unknown key; did you mean epochs?"),
        (["--set", "method=kd"], "--set method: distill sets it in g.yaml; write distill.method"),
        (["--only", "methd=kd"], "--only.methd: no such choice; did you mean method?"),
    ],
)
def test_wrong_words_are_told(file: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grid", file, *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
