"""Runs that are really killed, and go on as if they had not been."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from started import run, start

DATA = ["data=digits", "data.limit=256", "data.view=crop_flip", "data.test_limit=50", "batch_size=16"]
TEACH = ["teach", *DATA, "model=convnet_s", "objective=soteacher", "epochs=8", "seed=3"]


def words_of(words: list[str], out: Path) -> list[str]:
    return [*words, f"out={out}", "checkpoint_every_steps=5"]


def finish(words: list[str], out: Path, *more: str) -> None:
    run([*words_of(words, out), *more], check=True)


def stop_in_mid_epoch(
    words: list[str], out: Path, number: signal.Signals, stage: str = ""
) -> subprocess.CompletedProcess[str]:
    process = start(words_of(words, out))
    deadline = time.monotonic() + 60
    folder = out / "stages" / stage if stage else out
    metrics, checkpoint = folder / "metrics.jsonl", folder / "checkpoint" / "last.pt"
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 2 or not checkpoint.exists():
        assert time.monotonic() < deadline, "the run did not get going"
        assert process.poll() is None, "the run ended before it was stopped"
        time.sleep(0.001)
    process.send_signal(number)
    stopped = process.finish(60)
    assert not (out / "result.json").exists(), "the run finished before it was stopped"
    return stopped


def assert_same_run(one: Path, two: Path) -> None:
    first, second = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].equal(second[name]), name
    assert_same_records(one, two)


def assert_same_records(one: Path, two: Path) -> None:
    rows = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (one, two)]
    for row in [*rows[0], *rows[1]]:
        del row["seconds"], row["images_per_second"]
    assert rows[0] == rows[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    finish(TEACH, out)
    return out


def test_a_run_killed_in_mid_epoch_resumes_to_the_same_weights(whole: Path, tmp_path: Path) -> None:
    killed = stop_in_mid_epoch(TEACH, tmp_path / "killed", signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    finish(TEACH, tmp_path / "killed", "resume=true")
    assert_same_run(whole, tmp_path / "killed")


def test_sigterm_saves_first_and_says_so(whole: Path, tmp_path: Path) -> None:
    stopped = stop_in_mid_epoch(TEACH, tmp_path / "stopped", signal.SIGTERM)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert "saved; resume=true continues from here" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "error: " not in stopped.stderr
    at = re.search(r"^interrupted in epoch (\d+), step (\d+): saved", stopped.stderr, re.MULTILINE)
    assert at is not None
    resumed = run([*words_of(TEACH, tmp_path / "stopped"), "resume=true"], check=True)
    assert re.search(rf"^resumed at epoch \d+, step {at[2]}$", resumed.stderr, re.MULTILINE)
    assert re.search(r"^epoch 8/8  loss ", resumed.stderr, re.MULTILINE)
    assert_same_run(whole, tmp_path / "stopped")


@pytest.mark.parametrize(
    "method",
    [["crd", "method.dim=16", "method.fitnet.weight=1", "optim=adamw"], ["dkd", "optim=dot"], ["kd", "engine=fast"]],
)
def test_connectors_banks_and_momenta_are_part_of_what_resumes(method: list[str], whole: Path, tmp_path: Path) -> None:
    words = ["distill", *DATA, "model=convnet_m", f"teacher={whole}", f"method={method[0]}", "epochs=6", *method[1:]]
    finish(words, tmp_path / "whole")
    assert stop_in_mid_epoch(words, tmp_path / "killed", signal.SIGKILL).returncode == -signal.SIGKILL
    finish(words, tmp_path / "killed", "resume=true")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize("words", [["averaging=swa"], ["averaging=ema", "averaging.decay=0.9"]])
def test_averaged_weights_are_part_of_what_resumes(words: list[str], whole: Path, tmp_path: Path) -> None:
    words = [*TEACH, *words, "averaging.start=1"]
    finish(words, tmp_path / "whole")
    assert stop_in_mid_epoch(words, tmp_path / "killed", signal.SIGKILL).returncode == -signal.SIGKILL
    finish(words, tmp_path / "killed", "resume=true")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    averaged, last = (load_file(path / "model.safetensors") for path in (tmp_path / "whole", whole))
    assert not all(averaged[name].equal(last[name]) for name in last)


def test_a_fine_tuned_run_resumes_from_its_checkpoint_not_from_where_it_started(whole: Path, tmp_path: Path) -> None:
    words = ["teach", *DATA, "model=convnet_s", "objective=mcmi", "objective.refresh=ema", "objective.decay=0.9"]
    words += [f"start_from={whole}", "epochs=8", "optim.lr=0.01"]
    finish(words, tmp_path / "whole")
    assert stop_in_mid_epoch(words, tmp_path / "killed", signal.SIGKILL).returncode == -signal.SIGKILL
    finish(words, tmp_path / "killed", "resume=true")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_a_run_of_two_stages_resumes_in_either(whole: Path, tmp_path: Path) -> None:
    words = ["distill", *DATA, "model=convnet_m", f"teacher={whole}", "method=ab", "method.stage_epochs=6", "epochs=5"]
    finish(words, tmp_path / "whole")
    metrics = tmp_path / "killed" / "metrics.jsonl"
    assert stop_in_mid_epoch(words, tmp_path / "killed", signal.SIGKILL, "ab").returncode == -signal.SIGKILL
    assert not metrics.exists()
    words_again = [*words, "resume=true"]
    assert stop_in_mid_epoch(words_again, tmp_path / "killed", signal.SIGKILL).returncode == -signal.SIGKILL
    assert metrics.exists()
    finish(words_again, tmp_path / "killed")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert_same_records(*(tmp_path / name / "stages" / "ab" for name in ("whole", "killed")))
