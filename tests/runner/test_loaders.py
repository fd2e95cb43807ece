"""Inputs beyond the samples and unlabelled pools, in whole runs on real digits."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import preceptor
from preceptor.api.objects import AnyData
from preceptor.config.procedures import PROCEDURES
from preceptor.data import POLICIES, load
from preceptor.errors import UsageError
from preceptor.objectives.base import Objective
from preceptor.objectives.distill import METHODS
from started import run, start

DATA = {"name": "digits", "limit": 192, "test_limit": 32, "validation": 0.0}
MORE = {**DATA, "limit": 800, "test_limit": 200}
SHORT: Any = {"epochs": 2, "batch_size": 32, "engine": "plain", "progress": False, "optim": {"lr": 0.02}}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        out = folder / f"teacher{seed}"
        preceptor.teach(data="digits", model="convnet_m", epochs=3, seed=seed, keep_every=1, out=out, progress=False)
    return [folder / "teacher0", folder / "teacher1"]


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("key", [*METHODS, *PROCEDURES])
def test_every_method_learns_beyond_the_samples_and_from_a_pool(key: str, teachers: list[Path], tmp_path: Path) -> None:
    """Half of the samples have no label, and half of the batches are mixed."""
    method: dict[str, Any] = {"name": key, "kd": {"weight": 1.0}} if key in {"crd", "pesf_kd"} else {"name": key}
    teacher: dict[str, Any] = {"path": str(teachers[0])}
    if key in METHODS and METHODS[key].objective.pretraining is not Objective.pretraining:
        method["stage_epochs"] = 1
    if key in {"ab", "fsp"}:
        method["kd"] = {"weight": 1.0}  # nothing of them is left after their stage but cross-entropy
    if key == "ensemble":
        teacher["path"] = [str(path) for path in teachers]
    if key == "rco":
        teacher["anchors"] = [3]
    if key == "takd":
        teacher["assistants"] = ["convnet_m"]
    result = preceptor.distill(
        data={**DATA, "limit": 128, "labelled_fraction": 0.5},
        teacher=teacher,
        model="convnet_m" if key in {"fsp", "kdsvd"} else "convnet_s",
        method=method,
        inputs={"name": "kd_plus", "real_share": 0.5, "patch_size": 4},
        out=tmp_path / "run",
        **SHORT,
    )
    rows = history(result.path)
    assert len(rows) == 2
    assert rows[-1]["train"]["loss"] > 0
    assert all(torch.isfinite(torch.tensor(value)) for row in rows for value in row["train"]["terms"].values())


def test_what_compares_rows_sees_those_of_a_pass(
    teachers: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Semckd is made for the size of a pass: else it would skip them all, and be 0."""
    settings: Any = {**SHORT, "progress": True, "epochs": 1, "accumulate": 2}
    method = {"name": "semckd", "rkd": {"weight": 1.0}}
    out = tmp_path / "run"
    preceptor.distill(data=DATA, teacher=teachers[0], model="convnet_s", method=method, out=out, **settings)
    said = " ".join(capsys.readouterr().err.split())
    assert "accumulate: rows are compared within one of 2 passes, not over the batch (semckd, rkd)" in said
    assert history(out)[0]["train"]["terms"]["semckd"] > 0


@pytest.mark.parametrize("name", sorted({*POLICIES} - {"real"}))
def test_every_policy_trains_a_student_that_learns(name: str, teachers: list[Path], tmp_path: Path) -> None:
    hyperparameters = {"patch_size": 4} if name in {"kd_plus", "mixpatch"} else {}
    result = preceptor.distill(
        data=MORE,
        teacher=teachers[0],
        model="convnet_s",
        inputs={"name": name, **hyperparameters},
        out=tmp_path / "run",
        **{**SHORT, "epochs": 5, "optim": {"lr": 0.1}},
    )
    assert result.metrics.accuracy > 0.5
    terms = history(result.path)[-1]["train"]["terms"]
    assert ("cross_entropy" in terms) == (name == "kd_plus")
    assert history(result.path)[-1]["train"]["accuracy"] is None or name == "kd_plus"


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize("objective", ["cross_entropy", "brier", "soteacher"])
def test_teachers_can_be_trained_on_mixtures(name: str, objective: str, tmp_path: Path) -> None:
    result = preceptor.teach(
        data=MORE,
        model="convnet_s",
        objective=objective,
        inputs={"name": name, "real_share": 0.5},
        out=tmp_path / "run",
        **{**SHORT, "epochs": 8, "optim": {"lr": 0.1}},
    )
    assert result.metrics.accuracy > 0.5
    assert history(result.path)[-1]["train"]["accuracy"] > 0.3


def test_weights_are_handed_over_on_mixed_batches(teachers: list[Path], tmp_path: Path) -> None:
    """The weighted loss of KD+ is 0.1 CE + 0.9 KD on real batches and 1.0 KD on mixed ones."""
    result = preceptor.distill(
        data=DATA,
        teacher=teachers[0],
        model="convnet_s",
        inputs={"name": "kd_plus", "real_share": 1e-9, "patch_size": 4},
        out=tmp_path / "run",
        **{**SHORT, "epochs": 1},
    )
    train = history(result.path)[0]["train"]
    assert list(train["terms"]) == ["kd"]
    assert train["loss"] == pytest.approx(train["terms"]["kd"])


def test_the_run_is_longer_where_the_number_of_real_batches_is_kept(teachers: list[Path], tmp_path: Path) -> None:
    result = preceptor.distill(
        data=DATA,
        teacher=teachers[0],
        model="convnet_s",
        inputs={"name": "kd_plus", "real_share": 0.4, "patch_size": 4, "match": "real_batches"},
        schedule={"name": "step", "milestones": [1]},
        out=tmp_path / "run",
        **SHORT,
    )
    rates = [row["lr"] for row in history(result.path)]
    assert rates == pytest.approx([0.02, 0.02, 0.002, 0.002, 0.002])


def test_the_region_moves_to_where_student_and_teacher_disagree_most(teachers: list[Path], tmp_path: Path) -> None:
    inputs = {"name": "kd_plus", "search": True, "search_every": 2, "alphas": [0.2, 1.0], "real_share": 0.3}
    result = preceptor.distill(
        data=DATA, teacher=teachers[0], model="convnet_s", inputs=inputs, out=tmp_path / "run", **{**SHORT, "epochs": 5}
    )
    regions = [tuple(row["region"]) for row in history(result.path)]
    assert regions[0] == (1.0, 4)
    assert (regions[1], regions[3]) == (regions[2], regions[4])
    assert set(regions) <= {(0.2, 4), (1.0, 8), (1.0, 4)}


SEARCHED = [
    "inputs=kd_plus",
    "inputs.search=true",
    "inputs.search_every=1",
    "inputs.alphas=[0.2,1.0]",
    "data.labelled_fraction=0.5",
]


def test_a_killed_run_goes_on_to_the_same_bits(teachers: list[Path], tmp_path: Path) -> None:
    """Pool, mixing and search: one run whole, one killed in the middle and resumed."""
    words = ["distill", "data=digits", "data.test_limit=32", f"teacher={teachers[0]}"]
    words += ["model=convnet_s", "epochs=4", "engine=plain", "checkpoint_every_steps=3", *SEARCHED]
    run([*words, f"out={tmp_path / 'whole'}"], check=True)
    started = start([*words, f"out={tmp_path / 'cut'}"])
    while started.poll() is None and len(metrics(tmp_path / "cut")) < 2:
        time.sleep(0.001)
    started.kill()
    started.finish()
    assert len(metrics(tmp_path / "cut")) < 4, "it ended before it could be killed"
    run([*words, f"out={tmp_path / 'cut'}", "resume=true"], check=True)
    whole, cut = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert [row["region"] for row in history(tmp_path / "whole")] == [
        row["region"] for row in history(tmp_path / "cut")
    ]


def metrics(folder: Path) -> list[str]:
    path = folder / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def test_a_teacher_sees_the_labelled_part_and_a_student_all(tmp_path: Path) -> None:
    some = {**DATA, "labelled_fraction": 0.25}
    teacher = preceptor.teach(data=some, model="convnet_s", out=tmp_path / "t", **SHORT)
    student = preceptor.distill(data=some, teacher=teacher, model="convnet_s", out=tmp_path / "s", **SHORT)
    steps = [history(folder)[-1]["step"] for folder in (tmp_path / "t", tmp_path / "s")]
    assert steps == [2 * 2, 2 * 6]  # 48 of 192 rows, and all of them
    assert teacher.record.data_fingerprint == student.record.data_fingerprint


def test_a_pool_can_be_other_data(teachers: list[Path], tmp_path: Path) -> None:
    few = {**DATA, "limit": 64}
    pools: list[AnyData] = ["digits", {"name": "ambiguous_digits", "samples": 200}, load("digits", limit=150)]
    for number, pool in enumerate(pools):
        result = preceptor.distill(
            data=few, teacher=teachers[0], model="convnet_s", unlabelled=pool, out=tmp_path / str(number), **SHORT
        )
        assert history(result.path)[-1]["step"] > 2 * 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": "mixpu"}, "inputs: unknown name 'mixpu'; did you mean mixup"),
        ({"inputs": {"name": "mixup", "alpha": 0}}, "inputs.alpha: 0.0 is not above 0"),
        ({"inputs": {"name": "mixup", "alhpa": 1}}, "inputs.alhpa: unknown key; did you mean alpha"),
        ({"inputs": {"name": "mixpatch", "patch_size": 3}}, "inputs.patch_size: 3 does not divide images of 8 x 8"),
        ({"inputs": "mixup", "method": "crd"}, "none of the terms cross_entropy, crd can be applied"),
        ({"unlabelled": "gaussian"}, "unlabelled: gaussian has torch.float32 inputs of shape"),
        (
            {"unlabelled": "digits", "data": {**DATA, "labelled_fraction": 0.5}},
            "unlabelled: data.labelled_fraction makes a pool already",
        ),
        (
            {"inputs": "mixup", "teacher": {"truth": True}, "data": "ambiguous_digits"},
            "teacher.truth: is known of the labelled",
        ),
    ],
)
def test_what_cannot_be_done_is_said(changes: dict[str, Any], said: str, teachers: list[Path], tmp_path: Path) -> None:
    run = {"data": DATA, "teacher": teachers[0], "model": "convnet_s", "out": tmp_path / "run", **SHORT, **changes}
    with pytest.raises(UsageError, match=said):
        preceptor.distill(**run)
    assert not (tmp_path / "run").exists()


def test_a_teacher_on_mixtures_only_cannot_be_made_of_memories(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none of the terms consistency can be applied"):
        preceptor.teach(
            data=DATA,
            model="convnet_s",
            objective={"name": None, "consistency": {"weight": 1.0}},
            inputs="mixup",
            out=tmp_path / "run",
            **SHORT,
        )
