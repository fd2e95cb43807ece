"""Labels from the command line and from Python, and students that learn from them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import preceptor
from preceptor.cli import main
from preceptor.errors import UsageError
from preceptor.labels import LabelStore
from started import run, start
from torchrun import torchrun

DATA: dict[str, Any] = {"name": "digits", "view": "crop_flip", "limit": 300}
SHORT: dict[str, Any] = {"model": "convnet_s", "epochs": 4, "batch_size": 32, "progress": False}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "t"
    preceptor.teach(data=DATA, model="convnet_s", epochs=2, out=out, progress=False)
    return out


@pytest.fixture(scope="module")
def labels(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labels") / "l"
    made = preceptor.label(data=DATA, teacher=teacher, out=out, views=4, progress=False)
    assert made.num_predicted == 4 * 300
    assert made.bytes == 4 * (300 * 20 + 128)
    return out


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("method", ["kd", "dkd", "wsld"])
def test_as_many_views_as_epochs_are_as_good_as_the_teacher(
    teacher: Path, tmp_path: Path, method: str, precision: Literal["bf16", "fp32"]
) -> None:
    preceptor.label(data=DATA, teacher=teacher, out=tmp_path / "l", views=4, precision=precision, progress=False)
    common = {**SHORT, "data": DATA, "method": method, "precision": precision}
    live = preceptor.distill(**common, teacher=teacher, out=tmp_path / "live")
    stored = preceptor.distill(**common, labels=tmp_path / "l", out=tmp_path / "stored")
    one, two = load_file(live.path / "model.safetensors"), load_file(stored.path / "model.safetensors")
    if precision == "bf16":  # its answers fit into float16 as they are
        assert all(one[name].equal(two[name]) for name in one)
    for before, after in zip(rows(live.path), rows(stored.path), strict=True):
        assert after["train"]["loss"] == pytest.approx(before["train"]["loss"], rel=1e-3)


def test_fewer_views_are_shown_in_turn(labels: Path, tmp_path: Path) -> None:
    run = preceptor.distill(**{**SHORT, "epochs": 6}, data=DATA, labels=labels, out=tmp_path / "r")
    assert len(rows(run.path)) == 6
    assert run.record.teacher_fingerprint == LabelStore(labels).manifest.source.teachers[0]


def test_the_run_takes_the_view_that_was_stored(labels: Path, tmp_path: Path) -> None:
    without = {key: value for key, value in DATA.items() if key != "view"}
    run = preceptor.distill(**SHORT, data=without, labels=labels, out=tmp_path / "r")
    assert "view: crop_flip" in (run.path / "config.yaml").read_text()


def test_several_teachers_are_averaged(teacher: Path, tmp_path: Path) -> None:
    other = preceptor.teach(data=DATA, model="convnet_s", epochs=1, seed=5, out=tmp_path / "t2", progress=False)
    pair = {"path": [str(teacher), str(other.path)]}
    preceptor.label(data=DATA, teacher=pair, out=tmp_path / "l", progress=False, precision="fp32")
    said = LabelStore(tmp_path / "l").logits(1, torch.arange(300))
    means = []
    for path in (teacher, other.path):
        preceptor.label(data=DATA, teacher=path, out=tmp_path / f"l-{path.name}", progress=False, precision="fp32")
        means.append(LabelStore(tmp_path / f"l-{path.name}").logits(1, torch.arange(300)).double().softmax(1))
    assert (said.double().softmax(1) - (means[0] + means[1]) / 2).abs().max() < 2e-3
    assert len(LabelStore(tmp_path / "l").manifest.source.teachers) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"data": {**DATA, "limit": 200}},
            r"data: digits \(\w{16}, 300 training samples\) there, digits \(\w{16}, 200\)",
        ),
        ({"data": {**DATA, "view": "flip"}}, "data.view: crop_flip there, flip here"),
        ({"teacher": nn.Sequential(nn.Flatten(), nn.Linear(64, 10))}, r"teacher: \w{16} there, \w{16} here"),
        ({"method": "fitnet"}, "hold logits only, and this method needs the teacher itself"),
        (
            {"method": {"name": "at", "pairs": {"block1": "block1"}}},
            r"hold logits only, and this method needs the teacher itself",
        ),
        ({"method": "mlkd"}, r"hold logits only, .* \(extra views: strong\)"),
        ({"method": "simkd"}, "needs? .*teacher|teacher network, and the run has none"),
        ({"method": "function_matching"}, "inputs: cannot be used with labels="),
    ],
)
def test_other_labels_than_the_run_needs_are_refused(
    labels: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    arguments = {**SHORT, "data": DATA, "labels": labels, "out": tmp_path / "r", **change}
    with pytest.raises(UsageError, match=message) as caught:
        preceptor.distill(**arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_the_same_teacher_beside_the_labels_is_fine(labels: Path, teacher: Path, tmp_path: Path) -> None:
    preceptor.distill(**{**SHORT, "epochs": 1}, data=DATA, labels=labels, teacher=teacher, out=tmp_path / "r")


def test_views_of_samples_that_are_shown_in_one_way_only(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"views: 3, but data\.view=none shows a sample in one way only"):
        preceptor.label(data={**DATA, "view": "none"}, teacher=teacher, out=tmp_path / "l", views=3, progress=False)


def test_the_command_line_says_what_it_made(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["label", "data=digits", "data.limit=100", "data.view=flip", f"teacher={teacher}", f"out={tmp_path / 'l'}"]
    assert main([*words, "views=2", "dtype=int8", "top=3"]) == 0
    out = capsys.readouterr().out
    assert "labelled now  200 rows" in out
    assert "21 bytes per row" in out
    assert main([*words, "views=2", "dtype=int8", "top=3"]) == 0
    assert "labelled now  0 rows" in capsys.readouterr().out
    assert main([*words, "top=10"]) == 2
    assert capsys.readouterr().err.startswith("error: top: 10 is not in 1..9")


MANY = ["data=digits", "data.view=crop_flip", "rows_per_shard=100", "batch_size=32", "engine=plain"]


@pytest.fixture(scope="module")
def whole(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes."""
    folder = tmp_path_factory.mktemp("whole") / "l"
    assert main(["label", *MANY, f"teacher={teacher}", "views=3", f"out={folder}"]) == 0
    return folder


def assert_same_files(one: Path, other: Path) -> None:
    names = sorted(path.name for path in one.iterdir())
    assert sorted(path.name for path in other.iterdir()) == names
    for name in names:
        assert (other / name).read_bytes() == (one / name).read_bytes(), name


def test_several_processes_write_what_one_writes(teacher: Path, whole: Path, tmp_path: Path) -> None:
    words = ["-m", "preceptor", "label", *MANY, f"teacher={teacher}", "views=3", f"out={tmp_path / 'l'}"]
    done = torchrun(words, 3)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Labels:") == 1
    rows = LabelStore(whole).manifest.source.samples
    assert f"labelled now  {3 * rows:,} rows" in done.stdout
    assert done.stderr.count("note: engine: cpu, fp32, 3 processes") == 1
    assert_same_files(whole, tmp_path / "l")
    other = torchrun([*words, "seed=1"])
    assert other.returncode != 0
    assert other.stderr.count("holds other labels: view_seed: 0 there, 1 here") == 1


def test_several_processes_that_are_killed_go_on_as_another_number(teacher: Path, whole: Path, tmp_path: Path) -> None:
    words = ["-m", "preceptor", "label", *MANY, f"teacher={teacher}", f"out={tmp_path / 'l'}"]
    started = start([*words[2:], "views=12"], 2)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "l").glob("*.npy"))) < 20:
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.001)
    started.kill()
    started.finish()
    again = torchrun([*words, "views=12"], 3)
    assert again.returncode == 0, again.stderr
    store = LabelStore(tmp_path / "l")
    assert store.views == 12
    for path in sorted(whole.glob("*.npy")):
        assert (tmp_path / "l" / path.name).read_bytes() == path.read_bytes()
    alone = torchrun([*words, "views=13"], 1)
    assert alone.returncode == 0, alone.stderr
    assert f"labelled now  {store.manifest.source.samples:,} rows" in alone.stdout


def test_a_labelling_that_is_killed_goes_on(teacher: Path, tmp_path: Path) -> None:
    words = ["label", "data=digits", "data.view=crop_flip", f"teacher={teacher}", "views=12", "rows_per_shard=100"]
    process = start([*words, f"out={tmp_path / 'l'}"])
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "l").glob("*.npy"))) < 20:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.finish()
    whole = {path.name: path.read_bytes() for path in sorted((tmp_path / "l").glob("view0001*.npy"))}
    run([*words, f"out={tmp_path / 'm'}", "views=2"], check=True)
    run([*words, f"out={tmp_path / 'l'}", "views=2"], check=True)  # no fewer than before
    assert LabelStore(tmp_path / "l").views == 12
    for name, content in whole.items():
        assert (tmp_path / "l" / name).read_bytes() == content == (tmp_path / "m" / name).read_bytes()
