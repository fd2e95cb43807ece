"""`preceptor assess`: its tables, its page and its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import preceptor
from preceptor.cli import main

DATA: dict[str, Any] = {"name": "ambiguous_digits", "samples": 400, "test_samples": 300}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, epochs in (("short", 1), ("long", 3)):
        preceptor.teach(data=DATA, model="convnet_s", epochs=epochs, out=folder / name, progress=False)
    return [folder / "short", folder / "long"]


def test_the_command_line_orders_candidates_and_writes_its_files(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, numbers = tmp_path / "a" / "page.html", tmp_path / "b" / "numbers.json"
    assert main(["assess", *map(str, runs), "--page", str(page), "--json", str(numbers)]) == 0
    out = capsys.readouterr().out
    records = {record["name"]: record for record in json.loads(numbers.read_text())["assessments"]}
    first = min(records.values(), key=lambda record: record["validation"]["nll"])["name"]
    others = [name for name in records if name != first]
    assert out.index(Path(first).name) < out.index(Path(others[0]).name)
    assert "Best on validation: " in out
    text = page.read_text()
    assert text.count("<svg") == 4
    assert "http" not in re.sub(r'xmlns(:\w+)?="http[^"]*"', "", text)
    for record in records.values():
        assert f"{record['test']['nll']:.4f}" in text


def test_the_command_line_prints_every_number_of_a_single_one(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["assess", str(runs[1]), "--against", str(runs[0])]) == 0
    out = capsys.readouterr().out
    for words in ("brier resolution", "truth kl", "temperature T", "to the reference: agreement", "test at T"):
        assert words in out
    weights = str(runs[1] / "model.safetensors")
    words_of_data = ["data=ambiguous_digits", "data.samples=400", "data.test_samples=300"]
    assert main(["assess", weights, "model=convnet_s", *words_of_data]) == 0
    again = capsys.readouterr().out
    assert re.findall(r"^nll .*", again, re.M)[0].split() == re.findall(r"^nll .*", out, re.M)[0].split()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["runs/t", "lr=3"],
            "error: lr: assess takes data=..., data.KEY=..., model=NAME, model.KEY=..., weights_key=..., "
            "classes=... and onnx.KEY=... only",
        ),
        (["data=digits"], "error: assess: no network given"),
    ],
)
def test_bad_words_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assess", *words]) == 2
    assert capsys.readouterr().err.startswith(message)
