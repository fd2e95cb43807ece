"""teach, distill and evaluate from the command line: what they print and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from preceptor.cli import main


def test_teach_distill_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["data=digits", "data.limit=300", "epochs=2"]
    assert main(["teach", *data, "model=convnet_m", "objective=soteacher", f"out={tmp_path}/t"]) == 0
    said = capsys.readouterr().out
    assert f"saved  {tmp_path}/t  (confusion.csv, classes.csv, model.safetensors)\n" in said
    assert f"next   preceptor distill data=digits teacher={tmp_path}/t model=NAME\n" in said
    words = [
        *data,
        f"teacher={tmp_path}/t",
        "model=convnet_s",
        "method=kd",
        "method.temperature=2",
        f"out={tmp_path}/s",
    ]
    assert main(["distill", *words]) == 0
    first = capsys.readouterr()
    banner = [line.split(" ", 1)[0] for line in first.err.splitlines()[:7]]
    assert banner == ["data", "teacher", "student", "method", "training", "device", "out"]
    last = next(line for line in first.err.splitlines() if line.startswith("epoch 2/2  loss "))
    loss, *terms = map(float, re.findall(r"[\d.]+(?= |$)", last.split("loss ")[1].split("  ")[0]))
    assert loss == pytest.approx(sum(terms), abs=0.0016)  # each is rounded
    student = next(line.split() for line in first.out.splitlines() if line.startswith("student "))
    assert first.out.index("teacher ") < first.out.index("student ")
    assert main(["evaluate", f"{tmp_path}/s"]) == 0
    accuracy = re.search(r"test accuracy +([\d.]+) %", capsys.readouterr().out)
    assert accuracy is not None
    assert float(student[1]) == pytest.approx(float(accuracy[1]), abs=0.051)
    assert main(["distill", *words]) == 2
    assert "holds a finished run; overwrite=True" in capsys.readouterr().err
    config = yaml.safe_load((tmp_path / "s" / "config.yaml").read_text())
    assert config["method"]["kd"]["temperature"] == 2.0
    assert config["optim"]["lr"] == 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["teach", "objective.brier.weight={schedule: fade_in, peak: 1.0}", "epochs=3"],
            "objective: the weight of brier is 0 in epoch 1 of 3, where nothing else is minimised; "
            "add a term, e.g. objective.cross_entropy.weight=1, or choose another schedule",
        ),
        (
            ["teach", "objective=brier", "objective.weight={schedule: fade_out, end: 0.5}", "epochs=4"],
            "objective: the weight of brier is 0 in epoch 3 of 4",
        ),
        (
            [
                "distill",
                "teacher=t",
                "method=kd",
                "method.weight={schedule: step, start_at: 2}",
                "inputs=mixup",
                "epochs=2",
            ],
            "method: the weight of kd is 0 in epoch 1 of 2, where nothing else is minimised; add a term, e.g. method.kd.weight=1",
        ),
    ],
)
def test_a_run_that_minimises_nothing_for_a_while_is_refused_before_its_folder_is_claimed(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([words[0], "data=digits", "data.limit=64", "model=convnet_s", *words[1:]]) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_of_a_sum_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["data=digits", "data.limit=64", "model=convnet_s", "epochs=1"]
    fading = "objective.brier.weight={schedule: fade_in, peak: 1.0}"
    assert main(["teach", *words, "objective.cross_entropy.weight=1", fading]) == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["teach-digits-convnet_s-cross_entropy+brier-seed0"]


def test_the_next_command_names_what_the_network_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{number},{'ab'[number % 2]}\n" for number in range(60))
    (tmp_path / "own.csv").write_text(f"x,kind\n{rows}")
    words = [f"data=table:{tmp_path}/own.csv", "data.target=kind", "model=mlp", "epochs=1", f"out={tmp_path}/t"]
    assert main(["teach", *words]) == 0
    out = capsys.readouterr().out
    assert f"preceptor predict {tmp_path}/t FILE.csv\n" in out
    named = f"data=table:{tmp_path}/own.csv data.target=kind"
    assert f"next   preceptor distill {named} teacher={tmp_path}/t model=NAME\n" in out
    assert main(["predict", f"{tmp_path}/t", f"{tmp_path}/own.csv"]) == 0
