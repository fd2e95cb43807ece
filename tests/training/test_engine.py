"""Both engines do the same work; what cannot be compiled runs all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor.errors import UsageError
from preceptor.models import FunctionTeacher, create, observe
from preceptor.training import Engine, LiveTeacher, choose_engine, forward_flops
from preceptor.types import Batch, View
from started import run

DATA: dict[str, Any] = {"name": "digits", "view": "crop_flip", "limit": 200, "test_limit": 100}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "t"
    preceptor.teach(data=DATA, model="convnet_s", epochs=3, out=out, progress=False)
    return out


def losses(run: Path) -> list[float]:
    return [json.loads(line)["train"]["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("method", ["kd", "fitnet", "crd", "mlkd", "dot"])
def test_fast_and_plain_give_the_same_curve_within_bf16_rounding(method: str, teacher: Path, tmp_path: Path) -> None:
    curves = {}
    for engine in ("plain", "fast"):
        run = preceptor.distill(
            data=DATA,
            teacher=teacher,
            model="convnet_s",
            method=method,
            epochs=3,
            batch_size=64,  # 200 samples: the last batch of an epoch has 8 and is not compiled
            optim={"lr": 0.01},
            engine=engine,  # type: ignore[arg-type]
            out=tmp_path / engine,
            progress=False,
        )
        assert run.record.compiled is (engine == "fast")
        curves[engine] = losses(run.path)
    assert curves["fast"] == pytest.approx(curves["plain"], rel=0.02)
    assert curves["fast"] != curves["plain"]


def test_what_is_no_module_is_neither_compiled_nor_folded() -> None:
    network = observe(FunctionTeacher(lambda inputs: inputs[:, :3]), ())
    assert Engine(CPU, compiles=True).accelerate(network, 2) is network
    assert Engine(CPU, folds=True).fold(network, torch.ones(2, 4)) is network


def test_the_frozen_teacher_says_the_same_compiled() -> None:
    network = create("resnet8", num_classes=10)
    network.train()
    for _ in range(3):
        network(torch.randn(32, 3, 16, 16))  # statistics that are worth folding
    batch = Batch(torch.randn(16, 3, 16, 16), None, torch.arange(16), View("none", 0, 1))
    plain = LiveTeacher(observe(network, ["block2"]), Engine(CPU))(batch)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fast = LiveTeacher(observe(network, ["block2"]), Engine(CPU, "fp32", compiles=True), rows=16)
    for _ in range(3):
        said = fast(batch)
    assert torch.allclose(said.logits, plain.logits, atol=1e-4)
    assert torch.allclose(said.features["block2"], plain.features["block2"], atol=1e-4)
    assert not said.logits.requires_grad
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())
    assert not network.training


def test_without_a_compiler_a_run_says_so_in_a_line_and_goes_on(teacher: Path, tmp_path: Path) -> None:
    words = ["data=digits", "data.limit=200", f"teacher={teacher}", "model=convnet_s", "epochs=2", "engine=fast"]
    none = {"PATH": "", "CXX": "", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = run(["distill", *words, f"out={tmp_path / 'run'}"], env=none, check=True)
    lines = [line for line in done.stderr.splitlines() if "runs uncompiled" in line]
    assert len(lines) == 2, done.stderr  # the teacher and the student
    assert all(line.startswith("note: engine: ConvNet runs uncompiled: ") for line in lines), lines
    assert len(losses(tmp_path / "run")) == 2


@pytest.mark.parametrize("has_amx", [False, True])
def test_a_long_run_is_compiled_where_that_gains_something_and_a_short_one_is_not(
    has_amx: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    engine = choose_engine("cpu", name="auto")
    assert engine.compiles is (None if has_amx else False)
    assert engine.decide(1e9).compiles is False
    assert engine.decide(1e18).compiles is has_amx
    assert choose_engine("cpu", name="plain").decide(1e18).compiles is False
    assert choose_engine("cpu", name="fast").decide(1.0).compiles is True


def test_precision_follows_the_machine_unless_it_is_said() -> None:
    usual = "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
    assert choose_engine("cpu", name="auto").precision == usual
    assert choose_engine("cpu", name="fast").precision == usual
    assert choose_engine("cpu", name="plain").precision == "fp32"
    assert choose_engine("cpu", "fp32", "fast").precision == "fp32"
    assert choose_engine("cpu", "bf16", "plain").precision == "bf16"


def test_bf16_is_refused_where_it_is_emulated_and_fp16_for_sharded_students(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="precision: fp16 cannot be used with sharding=all"):
        choose_engine("cpu", "fp16", sharding="all")
    assert choose_engine("cpu", "fp16", "auto").precision == "fp16"
    assert [choose_engine("cpu", each).loss_scaler().is_enabled() for each in ("fp32", "bf16", "fp16")] == [0, 0, 1]
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "T4")
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)
    with pytest.raises(UsageError, match="precision: bf16 is emulated on T4; precision=fp16 or fp32 is faster"):
        choose_engine("cuda", "bf16")


def test_fp16_gives_the_same_curve_within_its_rounding(teacher: Path, tmp_path: Path) -> None:
    curves = []
    for precision in ("fp32", "fp16"):
        run = preceptor.distill(
            data=DATA,
            teacher=teacher,
            model="convnet_s",
            method="kd",
            epochs=2,
            optim={"lr": 0.01},
            clip_norm=1.0,
            precision=precision,  # type: ignore[arg-type]
            out=tmp_path / precision,
            progress=False,
        )
        assert run.record.precision == precision
        curves.append(losses(run.path))
    assert curves[1] == pytest.approx(curves[0], rel=0.02)
    assert curves[1] != curves[0]


def test_flops_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 6 * 6, 10))
    assert forward_flops(network.train(), torch.zeros(2, 3, 6, 6)) == 2 * (36 * 8 * 27 + 288 * 10)
    assert network.training
